"""Exact and semantic answers, shared by tasks or not; a store never stands in a request's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from valkey_server import ValkeyServer

from llm_service.auth import Principal
from llm_service.bundle.feature import CachePolicy
from llm_service.cache import Cache, Cached, CacheKey, SourceRow, key_of
from llm_service.cache.postgres import PostgresStore, Tables
from llm_service.cache.remote import FAILURES, PAUSE, Patience
from llm_service.cache.settings import build, from_environ
from llm_service.cache.valkey import ValkeyStore
from llm_service.calls import Call, Message, Usage
from llm_service.database import Away
from llm_service.environ import SettingsError
from llm_service.limits.link import Valkey

ANSWER = Cached(
    text="At 82 degrees.",
    usage=Usage(100, 5),
    model="openai/gpt",
    sources=(SourceRow("dish", "Dishwasher", 2.5),),
    response_id="chatcmpl-1",
)
QUESTION = "At how many degrees does the dishwasher rinse?"
LIKE = "At how many degrees does a dishwasher rinse?"
Make = Callable[..., Cache]


def key(
    question: str = QUESTION, mode: Any = "semantic", user: str = "ann", **more: Any
) -> CacheKey:
    policy = CachePolicy(mode=mode, threshold=0.8, **more)
    call = Call(model="gpt", messages=(Message("user", question),))
    found = key_of(
        call, policy, release="1", feature="answer", principal=Principal("web"), user=user
    )
    assert found
    return found


async def test_the_same_request_is_answered_from_memory_without_waiting() -> None:
    cache = Cache()
    assert cache.peek(key(mode="exact")) is None
    assert await cache.get(key(mode="exact")) is None
    cache.put(key(mode="exact"), ANSWER)
    assert cache.peek(key(mode="exact")) == ANSWER
    counts = cache.state()
    assert (counts["hits"], counts["misses"], counts["stores"]) == (1, 1, 1)


async def test_a_question_that_means_the_same_is_answered_too(embedder: Any) -> None:
    cache = Cache(embedder=embedder, seconds=5)
    cache.start()
    cache.put(key(), ANSWER)
    await cache.idle()
    assert cache.peek(key(LIKE)) is None
    found = await cache.get(key(LIKE))
    assert found and found.text == ANSWER.text and 0.8 <= found.similarity < 1
    assert await cache.get(key("Who repairs the coffee grinder?")) is None
    assert await cache.get(key(LIKE, user="bob")) is None
    assert await cache.get(key(LIKE, mode="exact")) is None
    assert cache.counts["semantic_hits"] == 1
    await cache.stop()


async def test_vectors_of_two_models_are_never_compared(shared: Make, embedder: Any) -> None:
    mine = shared()
    mine.put(key(), ANSWER)
    await mine.idle()
    other = shared(embedder=type(embedder)("other words"))
    assert await other.get(key(LIKE)) is None
    assert await shared().get(key(LIKE))


async def test_tasks_share_answers_and_likeness(shared: Make) -> None:
    mine, theirs = shared(), shared()
    mine.put(key(), ANSWER)
    await mine.idle()
    assert theirs.peek(key()) is None
    assert await theirs.get(key()) == ANSWER
    assert theirs.peek(key()) == ANSWER
    alike = await shared().get(key(LIKE))
    assert alike and alike.text == ANSWER.text and 0.8 <= alike.similarity < 1
    assert await theirs.get(key(LIKE, user="bob")) is None
    assert await theirs.get(key("Who repairs the coffee grinder?")) is None
    assert theirs.state()["errors"] == mine.state()["errors"] == 0


async def test_a_shared_answer_ends_when_it_was_to_end(shared: Make) -> None:
    now = [time.time()]
    mine, theirs = shared(clock=lambda: now[0]), shared(clock=lambda: now[0])
    mine.put(key(ttl_seconds=600.0), ANSWER)
    await mine.idle()
    assert await theirs.get(key(ttl_seconds=600.0)) == ANSWER
    now[0] += 601
    assert theirs.peek(key(ttl_seconds=600.0)) is None
    assert await theirs.get(key(ttl_seconds=600.0)) is None


async def test_the_likest_of_many_questions_wins(shared: Make) -> None:
    cache = shared()
    for number in range(30):
        text = f"{QUESTION} " + "word " * number
        cache.put(key(text), Cached(text=str(number), usage=Usage(), model="m"))
    await cache.idle()
    found = await shared().get(key(f"{QUESTION} " + "word " * 7 + "!"))
    assert found and found.text == "7"


class Blind:
    """An embedder to which all questions are the same."""

    digest = "blind"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 4), np.float32)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("May I take 5 days of leave?", "May I take 15 days of leave?"),
        ("Does it rinse at 82.5 degrees?", "Does it rinse at 82 degrees?"),
        ("Which meals are free?", "Which meals are not free?"),
        ("What can I bring?", "What can't I bring?"),
        ("May I leave with a badge?", "May I leave without a badge?"),
    ],
)
async def test_questions_with_other_numbers_or_negations_are_never_alike(
    one: str, other: str
) -> None:
    cache = Cache(embedder=Blind(), seconds=5)
    cache.start()
    cache.put(key(one), ANSWER)
    await cache.idle()
    assert await cache.get(key(other)) is None
    assert await cache.get(key(f"Please: {one}"))
    await cache.stop()


async def test_the_database_keeps_no_more_rows_than_it_may(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.cache.postgres.EVERY", 1)
    store = PostgresStore(Tables(database, rows=5))
    for number in range(9):
        await store.put(bytes([number]) * 32, b"answer", 60 + number)
    await store.put(b"over" * 8, b"answer", -1)
    row = await database.row("SELECT count(*), min(digest) AS first FROM response_cache")
    assert (row["count"], bytes(row["first"])) == (5, b"\4" * 32)


async def test_partitions_are_apart_in_every_store(shared: Make) -> None:
    cache = shared()
    users = [f"user{number}" for number in range(12)]
    for user in users:
        cache.put(key(user=user), Cached(text=user, usage=Usage(), model="m"))
    await cache.idle()
    fresh = shared()
    for user in users:
        found = await fresh.get(key(LIKE, user=user))
        assert found and found.text == user
    assert await fresh.get(key(LIKE, user="stranger")) is None


class Slow:
    """A store that takes its time."""

    name = "slow"

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, digest: bytes) -> bytes | None:
        self.asked += 1
        await asyncio.sleep(30)
        return None

    async def put(self, digest: bytes, data: bytes, seconds: float) -> None:
        await asyncio.sleep(30)


class Gone(Slow):
    """A store that is away."""

    async def get(self, digest: bytes) -> bytes | None:
        self.asked += 1
        raise Away

    async def put(self, digest: bytes, data: bytes, seconds: float) -> None:
        raise Away


@pytest.mark.parametrize("store", [Slow(), Gone()])
async def test_a_store_that_is_slow_or_away_is_a_miss_and_is_then_left_alone(store: Slow) -> None:
    cache = Cache(store=store, seconds=0.02)
    began = time.monotonic()
    for _ in range(50):
        assert await cache.get(key(mode="exact")) is None
    assert time.monotonic() - began < 5
    assert store.asked == FAILURES
    assert cache.state()["errors"] == FAILURES
    assert cache.state()["paused"] is True


async def test_after_the_pause_one_more_failure_begins_the_next() -> None:
    now = [0.0]
    patience = Patience(1, lambda: now[0])
    asked: list[int] = []

    async def work() -> int:
        asked.append(1)
        if len(asked) <= FAILURES + 1:
            raise Away
        return 42

    for _ in range(10):
        assert await patience.wait(work) is None
    assert len(asked) == FAILURES
    now[0] += PAUSE
    assert await patience.wait(work) is None
    assert await patience.wait(work) is None
    now[0] += PAUSE
    assert await patience.wait(work) == 42
    assert not patience.paused


async def test_a_store_that_is_away_does_not_keep_answers_from_memory() -> None:
    cache = Cache(store=Gone(), seconds=0.02)
    cache.start()
    cache.put(key(mode="exact"), ANSWER)
    await cache.idle()
    assert cache.peek(key(mode="exact")) == ANSWER
    assert cache.state()["errors"] == 1
    await cache.stop()


class Broken:
    """An embedder that fails."""

    digest = "broken"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise RuntimeError("no model")


async def test_an_embedder_that_fails_is_a_miss() -> None:
    cache = Cache(embedder=Broken())
    cache.start()
    cache.put(key(), ANSWER)
    await cache.idle()
    assert await cache.get(key(LIKE)) is None
    assert cache.state()["errors"] >= 1
    await cache.stop()


async def test_what_does_not_fit_the_queue_is_dropped_and_counted() -> None:
    cache = Cache(store=Slow())
    for number in range(1_100):
        cache.put(key(str(number), mode="exact"), ANSWER)
    assert cache.counts["dropped"] == 100


async def test_valkey_may_die_and_come_back(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    server.start()
    link = Valkey(server.url)
    cache = Cache(0, store=ValkeyStore(link), seconds=2)
    cache.start()
    cache.put(key(mode="exact"), ANSWER)
    await cache.idle()
    assert await cache.get(key(mode="exact")) == ANSWER
    server.stop()
    assert await cache.get(key(mode="exact")) is None
    server.start()
    cache.put(key(mode="exact"), ANSWER)
    await cache.idle()
    assert await cache.get(key(mode="exact")) == ANSWER
    await cache.stop()
    await link.close()


def test_settings_choose_the_store_and_mistakes_are_one_sentence() -> None:
    assert from_environ({}).store == "memory"
    assert from_environ({"VALKEY_URL": "valkey://h"}).store == "valkey"
    found = from_environ(
        {"CACHE_STORE": "postgres", "DATABASE_HOST": "h", "CACHE_TIMEOUT_MS": "20"}
    )
    assert (found.store, found.seconds) == ("postgres", 0.02)
    for wrong in ("disk", "postgres", "valkey"):
        with pytest.raises(SettingsError, match="CACHE_STORE is"):
            from_environ({"CACHE_STORE": wrong})
    assert build(found, None, None, None).state()["store"] == "process"
