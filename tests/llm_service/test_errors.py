"""Every refusal is an OpenAI error object with the status that fits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import openai
import pytest

from llm_service import middleware
from llm_service.app import create_app
from llm_service.chat import handler
from llm_service.corpus import Document
from llm_service.library import Library
from llm_service.retrieval.index import Index
from llm_service.settings import Settings

TOKEN = {"authorization": "Bearer new-token"}
HELLO = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "system", "content": "no question"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": [HELLO], "n": 2}, "n"),
        ({"messages": [HELLO], "max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_wrong_request_is_a_400_that_names_the_parameter(
    server: Any, body: dict[str, Any], param: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=TOKEN)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}


def test_a_body_that_is_not_json_is_a_400(server: Any) -> None:
    headers = {**TOKEN, "content-type": "application/json"}
    answer = httpx.post(f"{server.url}/v1/search", content=b"{nope", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


def test_a_body_of_another_type_is_told_which_type_to_send(server: Any) -> None:
    answer = httpx.post(f"{server.url}/v1/search", content=b'{"query": "x"}', headers=TOKEN)
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["chat/completions", "search"])
def test_the_name_of_a_type_may_be_in_capitals_and_have_parameters(server: Any, path: str) -> None:
    body = json.dumps({"messages": [HELLO], "query": "x"})
    headers = {**TOKEN, "content-type": "Application/JSON; charset=UTF-8"}
    answer = httpx.post(f"{server.url}/v1/{path}", content=body, headers=headers)
    assert answer.status_code == 200


def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405(server: Any) -> None:
    nowhere = httpx.get(f"{server.url}/v1/nowhere", headers=TOKEN)
    wrong = httpx.get(f"{server.url}/v1/search", headers=TOKEN)
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_a_megabyte_is_refused(server: Any, chunked: bool) -> None:
    size = 1024 * 1024 + 1

    def pieces() -> Iterator[bytes]:
        yield from (b"x" * 65536 for _ in range(size // 65536 + 1))

    content = pieces() if chunked else b"x" * size
    answer = httpx.post(f"{server.url}/v1/search", content=content, headers=TOKEN)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (413, "body_too_large")
    assert error["message"].endswith("at most 1048576 bytes.")


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/search/", "/v1/jobs/"])
def test_a_slash_too_many_is_a_404_and_no_redirection_to_whatever_the_caller_calls_us(
    server: Any, path: str
) -> None:
    headers = {**TOKEN, "host": "elsewhere.example"}
    answer = httpx.post(server.url + path, json={"messages": [HELLO]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "location" not in answer.headers


def test_the_official_client_sees_its_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="default", messages=[])


async def crash(*_: object) -> None:
    raise RuntimeError("a secret detail")


async def test_a_crash_is_a_500_without_details_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(Settings(corpus="-"), lambda: [Document("a", "A", "Text.")])
    telemetry = app.state.service.telemetry
    telemetry.start()
    app.state.service.flow.whole = crash
    transport = httpx.ASGITransport(app=app)
    with caplog.at_level(logging.ERROR, "llm_service"):
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as caller:
            answer = await caller.post("/v1/chat/completions", json={"messages": [HELLO]})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert answer.headers["x-llmops-release"] == "dev"
    assert "a secret detail" in caplog.text
    await telemetry.stop()
    metrics = json.loads(capsys.readouterr().out)
    assert (metrics["Errors"], metrics["status"]) == (1, 500)
    assert "Quality" not in metrics


def endless(path: str) -> tuple[Any, Any]:
    """A POST to `path` whose body never ends, as ASGI puts it: scope and receive."""
    pieces = [{"type": "http.request", "body": b'{"query":', "more_body": True}]

    async def receive() -> Any:
        return pieces.pop() if pieces else await asyncio.Event().wait()

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    return {**scope, "headers": headers, "query_string": b"", "root_path": ""}, receive


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/search"])
async def test_a_body_that_never_ends_is_not_waited_for_for_ever(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (handler, middleware):
        monkeypatch.setattr(module, "SENDING", 0.01)
    app = create_app(Settings(corpus="-"), lambda: [Document("a", "A", "Text.")])
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope, receive = endless(path)
    async with asyncio.timeout(15):
        await app(scope, receive, send)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"]["code"] == "timeout"


async def test_a_client_that_does_not_read_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handler, "READING", 0.01)
    app = create_app(Settings(corpus="-"), lambda: [Document("a", "A", "Text.")])
    app.state.service.retrieval.swap(Index(Library([Document("a", "A", "Text.")]), ""))
    question = {"messages": [{"role": "user", "content": "Text?"}], "stream": True}
    scope, _ = endless("/v1/chat/completions")
    body = [{"type": "http.request", "body": json.dumps(question).encode()}]

    async def receive() -> Any:
        return body.pop() if body else await asyncio.Event().wait()

    unread: list[Any] = []

    async def send(message: Any) -> None:
        unread.append(message)
        await asyncio.Event().wait()

    scope["headers"].append((b"x-llmops-timeout", b"0.05"))
    async with asyncio.timeout(15):
        await app(scope, receive, send)
    assert unread[0]["status"] == 200


async def test_a_question_before_the_corpus_is_loaded_is_a_503() -> None:
    app = create_app(Settings(corpus="-"), lambda: [Document("a", "A", "Text.")])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as caller:
        answer = await caller.post("/v1/search", json={"query": "x"})
        ready = await caller.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert (ready.status_code, ready.json()["corpus"]) == (503, "loading")
