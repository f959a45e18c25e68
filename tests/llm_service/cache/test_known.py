"""Bodies that came before are not read again, and yet nobody gets what is another one's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from llm_service import bundle, sample
from llm_service.cache import CacheKey
from llm_service.chat.known import LONGEST, MOST, Known, KnownBodies
from llm_service.chat.wire import decode

QUESTION = json.dumps({"messages": [{"role": "user", "content": "Who fixes the boiler?"}]}).encode()
KNOWN = Known(decode(QUESTION), (), False, (), CacheKey(b"d", b"p", "", 1.0, 1.0))


def test_the_bodies_that_came_last_are_remembered() -> None:
    bodies = KnownBodies()
    for number in range(MOST):
        bodies.put(b"%d" % number, KNOWN)
    assert bodies.get(b"0") is KNOWN
    bodies.put(b"one more", KNOWN)
    assert bodies.get(b"0") is KNOWN
    assert bodies.get(b"1") is None


def test_long_bodies_are_not_remembered() -> None:
    bodies = KnownBodies()
    bodies.put(b"x" * (LONGEST + 1), KNOWN)
    bodies.put(b"x" * LONGEST, KNOWN)
    assert bodies.get(b"x" * (LONGEST + 1)) is None
    assert bodies.get(b"x" * LONGEST) is KNOWN


@pytest.fixture
def ask(start: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """What the cache did with the same bytes from somebody, for some feature; `answer` keeps
    answers for each user and `open` for all."""
    for part in ("features", "prompts"):
        shutil.copytree(Path(bundle.__file__).parent / part, tmp_path / part)
    path = tmp_path / "features" / "answer.json"
    feature = json.loads(path.read_text()) | {"cache": {"mode": "exact", "scope": "user"}}
    path.write_text(json.dumps(feature))
    shared = {"name": "open", "default": False, "cache": {"mode": "exact", "scope": "feature"}}
    (tmp_path / "features" / "open.json").write_text(json.dumps(feature | shared))
    hashed = {name: [hashlib.sha256(name.encode()).hexdigest()] for name in ("ann", "bob")}
    tokens = [{"name": name, "sha256": found} for name, found in hashed.items()]
    server = start(
        BEARER_TOKENS=json.dumps({"tokens": tokens}),
        BUNDLE_URI=str(tmp_path),
        CORPUS_URI=str(sample.FOLDER / "documents.jsonl"),
    )

    def asked(token: str, feature: str = "answer", body: bytes = QUESTION) -> str:
        headers = {"authorization": f"Bearer {token}", "x-llmops-feature": feature}
        reply = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.headers["x-llmops-cache"]

    return asked


def test_the_same_bytes_are_another_question_of_another_user_or_feature(
    ask: Callable[..., str],
) -> None:
    assert [ask("ann"), ask("ann")] == ["miss", "exact"]
    assert [ask("bob"), ask("bob"), ask("ann")] == ["miss", "exact", "exact"]
    assert [ask("ann", "open"), ask("bob", "open")] == ["miss", "exact"]
    assert [ask("bob"), ask("ann")] == ["exact", "exact"]
