"""What a process loads, and when: chats and health checks wait for nothing they do not need."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from llm_service import sample
from llm_service.app import create_app
from llm_service.bundle.source import PACKAGED
from llm_service.chat.shim import Shim
from llm_service.corpus import Document
from llm_service.prices import Price
from llm_service.settings import Scorer, Settings

Start = Callable[..., Any]
DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
GATEWAY: dict[str, Any] = {"models": ["openai/model-a"], "retrieval": "none"}
WALRUS = [Document("a", "Walrus", "The walrus sleeps.")]
JUDGE = Scorer("https://judge.test/v1/chat/completions", "judge", Price(1.0, 1.0))


@pytest.fixture
def bundled(tmp_path: Path) -> Callable[..., str]:
    """Makes a bundle of one feature, a gateway's but for the fields given; its folder."""

    def made(**fields: Any) -> str:
        (tmp_path / "features").mkdir()
        (tmp_path / "prompts").symlink_to(PACKAGED / "prompts")
        feature = {"name": "only", "default": True, "prompt": "answer@1.0.0", **GATEWAY, **fields}
        (tmp_path / "features/only.json").write_text(json.dumps(feature))
        return str(tmp_path)

    return made


def caller(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service")


def gateway(bundle: str) -> Shim:
    settings = Settings(corpus="-", bundle=bundle, quality_sample=0.0)
    return create_app(settings, lambda: WALRUS)


def test_neither_framework_nor_numpy_is_imported_before_it_is_needed() -> None:
    code = "import sys, llm_service.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"fastapi", "pydantic", "numpy", "bm25s", "onnxruntime"} & set(done.stdout.split())


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_health_check_is_answered_alike_with_and_without_the_framework(path: str) -> None:
    app = create_app(Settings(corpus=DOCUMENTS, release="1.2.3"))
    async with caller(app) as past, caller(app.api) as through:
        sent = {"x-request-id": "asked-7"}
        one, other = await past.get(path, headers=sent), await through.get(path, headers=sent)
    assert (one.status_code, one.content) == (other.status_code, other.content)
    assert dict(one.headers) == dict(other.headers)
    assert (one.headers["x-llmops-release"], one.headers["x-request-id"]) == ("1.2.3", "asked-7")


async def test_a_health_page_that_fails_is_a_500_which_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(corpus=DOCUMENTS))

    async def broken() -> tuple[bool, dict[str, Any]]:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(app.state.service, "readiness", broken)
    async with caller(app) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text


async def test_only_a_get_is_a_health_check() -> None:
    async with caller(create_app(Settings(corpus=DOCUMENTS))) as client:
        answer = await client.post("/healthz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_the_framework_is_loaded_once_however_many_ask_first() -> None:
    app = create_app(Settings(corpus=DOCUMENTS))
    async with caller(app) as client:
        answers = await asyncio.gather(*(client.get("/v1/models") for _ in range(8)))
    assert {each.status_code for each in answers} == {200}
    assert app.api is app.api


def test_a_service_that_reads_no_corpus_is_ready_without_and_the_first_searches_have_it_read(
    start: Start, bundled: Callable[..., str]
) -> None:
    service = start(
        "--no-auth",
        CORPUS_URI=DOCUMENTS,
        BUNDLE_URI=bundled(),
        OPENAI_API_KEY="sk-none",
        QUALITY_SAMPLE="0",
    )
    before = httpx.get(f"{service.url}/readyz").json()
    assert (before["corpus"], before["documents"]) == ("not needed yet", 0)
    asked = {"query": "head roaster"}
    with ThreadPoolExecutor(4) as pool:
        found = [
            each.result()
            for each in [
                pool.submit(httpx.post, f"{service.url}/v1/search", json=asked, timeout=15)
                for _ in range(4)
            ]
        ]
    assert [each.status_code for each in found] == [200] * 4
    assert found[0].json()["results"]
    after = httpx.get(f"{service.url}/readyz").json()
    assert after["documents"] == len(Path(DOCUMENTS).read_text().splitlines())
    assert after["corpus"] == "loaded"


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, False),
        ({"retrieval": "context"}, True),
        ({"retrieval": "tool"}, True),
        ({"models": ["openai/model-a", "embedded"]}, True),
        ({"cheaper": ["embedded"], "at_budget": "cheaper"}, True),
        ({"prediction": True}, True),
        (
            {
                "experiment": {
                    "name": "reading",
                    "variants": [
                        {"name": "control", "weight": 0.5},
                        {"name": "read", "weight": 0.5, "changes": {"retrieval": "context"}},
                    ],
                }
            },
            True,
        ),
    ],
)
async def test_a_corpus_is_read_at_the_start_if_any_way_to_answer_needs_it(
    bundled: Callable[..., str], fields: dict[str, Any], needed: bool
) -> None:
    assert gateway(bundled(**fields)).state.service.needs_corpus is needed


@pytest.mark.parametrize("scored", [{"quality_sample": 0.1}, {"scorer": JUDGE}])
async def test_a_corpus_is_read_at_the_start_if_answers_are_scored(
    bundled: Callable[..., str], scored: dict[str, Any]
) -> None:
    settings = Settings(corpus="-", bundle=bundled(), **{"quality_sample": 0.0, **scored})
    assert create_app(settings).state.service.needs_corpus


async def test_an_application_starts_in_another_thread_than_the_main_one(
    bundled: Callable[..., str],
) -> None:
    """Where Python handles no signals, SIGHUP is not listened for."""
    app = gateway(bundled())
    sent: list[str] = []

    def run() -> None:
        asyncio.run(lived(app, sent))

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(thread.join, 30)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def lived(app: Shim, sent: list[str]) -> None:
    """The application from its start to its stop; `sent` are the messages it sends."""

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.shutdown" if sent else "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)


@pytest.mark.parametrize(
    ("at_start", "told"),
    [
        (True, ["lifespan.startup.failed"]),
        (False, ["lifespan.startup.complete", "lifespan.shutdown.failed"]),
    ],
)
async def test_the_server_is_told_when_the_start_or_the_stop_fails(
    at_start: bool, told: list[str]
) -> None:
    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        if at_start:
            raise RuntimeError("cannot")
        yield
        raise RuntimeError("cannot")

    whole = create_app(Settings(corpus=DOCUMENTS))
    app = Shim(whole.state.service, lambda: whole.api, running)
    sent: list[str] = []
    with pytest.raises(RuntimeError, match="cannot"):
        await lived(app, sent)
    assert sent == told
