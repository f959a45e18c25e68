"""What the packaged model takes for the same question, at the threshold features begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llm_service.auth import Principal
from llm_service.bundle.feature import CachePolicy
from llm_service.cache import Cache, Cached, CacheKey, key_of
from llm_service.calls import Call, Message, Usage
from llm_service.retrieval.embedder import LocalEmbedder

KEPT = "At how many degrees does the dishwasher rinse?"


def key(question: str) -> CacheKey:
    found = key_of(
        Call(model="m", messages=(Message("user", question),)),
        CachePolicy(mode="semantic"),
        release="1",
        feature="answer",
        principal=Principal("web"),
    )
    assert found
    return found


@pytest.fixture
async def cache(model: Path) -> AsyncIterator[Cache]:
    """A cache with the real model that has the answer to KEPT."""
    embedder = LocalEmbedder(model)
    made = Cache(embedder=embedder, seconds=5)
    made.start()
    made.put(key(KEPT), Cached(text="At 82 degrees.", usage=Usage(), model="m"))
    await made.idle()
    yield made
    await made.stop()
    await embedder.close()


@pytest.mark.parametrize(
    ("question", "hits"),
    [
        ("How many degrees does the dishwasher rinse at?", True),
        ("Hi there! At how many degrees does the dishwasher rinse?", True),
        ("Who repairs the coffee grinder?", False),
        ("How long does the dishwasher rinse?", False),
        ("At how many degrees does the washing machine rinse?", False),
    ],
)
async def test_a_paraphrase_is_answered_again_and_another_question_is_not(
    cache: Cache, question: str, hits: bool
) -> None:
    found = await cache.get(key(question))
    assert (found is not None) is hits
    assert cache.state()["errors"] == 0
