"""A stream: nothing is held back, a cut one is no answer, and one who hangs up ends it all."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import openai
import pytest
from provider_server import Behaviour, ProviderServer

QUESTION = {"messages": [{"role": "user", "content": "When?"}], "model": "plain"}
ANIMALS = tuple(f"zebra{number} " for number in range(9))
"""Words that no prompt has, which the guard therefore holds back for nobody."""
Ask = Callable[..., Any]


def body(**more: Any) -> bytes:
    return json.dumps({**QUESTION, **more}).encode()


@contextmanager
def connected(gateway: Any, content: bytes) -> Iterator[socket.socket]:
    """A connection over which `content` was posted."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as line:
        line.sendall(head.encode() + content)
        yield line


def events(text: str) -> list[str]:
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event]


def test_each_piece_goes_out_at_once(gateway: Any, provider: ProviderServer) -> None:
    provider.script(Behaviour(words=("zebra ", "giraffe "), then="hang", after=2))
    with connected(gateway, body(stream=True)) as line:
        found = b""
        while b"giraffe" not in found:
            found += line.recv(65536)
    assert b"zebra" in found


def test_a_stream_has_a_role_first_and_a_reason_last(
    gateway: Any, provider: ProviderServer
) -> None:
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=body(stream=True),
                        headers={"content-type": "application/json"})  # fmt: skip
    *chunks, done = events(answer.text)
    first, last = json.loads(chunks[0]), json.loads(chunks[-1])
    assert done == "[DONE]"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert last["sources"] == []
    assert last["ai_generated"] is True
    assert all(json.loads(chunk)["choices"][0]["finish_reason"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize("wanted", [False, True])
def test_usage_is_null_in_every_chunk_but_the_last_where_it_is_asked_for(
    gateway: Any, provider: ProviderServer, wanted: bool
) -> None:
    asked = body(stream=True, stream_options={"include_usage": wanted})
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=asked,
                        headers={"content-type": "application/json"})  # fmt: skip
    *before, last = [json.loads(event) for event in events(answer.text)[:-1]]
    assert all(("usage" in chunk) == wanted for chunk in [*before, last])
    assert not any(chunk.get("usage") for chunk in before)
    assert bool(last.get("usage")) == wanted
    assert (last["choices"] == []) == wanted


@pytest.mark.parametrize("then", ["cut", "reset", "error", "broken", "stop"])
def test_a_cut_stream_ends_with_an_error_and_neither_done_nor_reason(
    gateway: Any, provider: ProviderServer, then: Any
) -> None:
    provider.script(Behaviour(words=ANIMALS, gap=0.01, then=then, after=4))
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=body(stream=True),
                        headers={"content-type": "application/json"})  # fmt: skip
    *chunks, last = events(answer.text)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    assert all(json.loads(chunk)["choices"][0]["finish_reason"] is None for chunk in chunks)
    error = json.loads(last)["error"]
    assert error["code"] in ("truncated", "malformed", "overloaded", "unreachable")
    assert "own words" not in answer.text


def test_the_official_client_sees_a_cut_stream_as_an_error(
    ask: Ask, provider: ProviderServer
) -> None:
    provider.script(Behaviour(words=ANIMALS, then="cut", after=4))
    with pytest.raises(openai.APIError):
        list(ask("plain", stream=True))


def test_a_failure_before_the_first_piece_is_a_status(ask: Ask, provider: ProviderServer) -> None:
    provider.script(Behaviour(status=500))
    with pytest.raises(openai.InternalServerError) as caught:
        ask("plain", stream=True)
    assert (caught.value.status_code, caught.value.code) == (503, "overloaded")


@pytest.mark.parametrize(
    ("stream", "behaviour"),
    [
        pytest.param(True, Behaviour(then="hang", after=3), id="mid-stream"),
        pytest.param(True, Behaviour(before_first=math.inf), id="before-the-first-token"),
        pytest.param(True, Behaviour(before_head=math.inf), id="before-the-head"),
        pytest.param(False, Behaviour(before_head=math.inf), id="not-streaming"),
    ],
)
def test_a_client_that_hangs_up_cancels_the_providers_call(
    gateway: Any, provider: ProviderServer, stream: bool, behaviour: Behaviour
) -> None:
    provider.script(behaviour)
    with connected(gateway, body(stream=stream)) as line:
        gateway.eventually(lambda: len(provider.requests) == 1, "the provider was never asked")
        if behaviour.then:
            assert b"word2" in received(line, b"word2")
        assert not provider.last.hung_up
    gateway.eventually(lambda: provider.last.hung_up, "the provider's call was not cancelled")


def test_an_answer_that_was_stopped_may_get_a_thumb(gateway: Any, provider: ProviderServer) -> None:
    provider.script(Behaviour(words=ANIMALS, then="hang", after=4))
    with connected(gateway, body(stream=True)) as line:
        begun = received(line, b"zebra1").decode()
    gateway.eventually(lambda: provider.last.hung_up, "the provider's call was not cancelled")
    given = {"response_id": begun.partition('"id":"')[2].partition('"')[0], "thumb": "down"}

    def taken() -> bool:
        return httpx.post(f"{gateway.url}/v1/feedback", json=given).status_code == 200

    gateway.eventually(taken, "the thumb was never taken")


def received(line: socket.socket, until: bytes) -> bytes:
    found = b""
    while until not in found and (piece := line.recv(65536)):
        found += piece
    return found


def test_what_the_client_waits_bounds_the_answer(gateway: Any, provider: ProviderServer) -> None:
    provider.script(Behaviour(before_head=math.inf))
    for header in ("x-llmops-timeout", "x-stainless-read-timeout"):
        began = time.monotonic()
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            content=body(),
            headers={"content-type": "application/json", header: "0.2"},
            timeout=15,
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timed_out")
        assert time.monotonic() - began < 10


def test_the_feature_bounds_what_the_client_waits(ask: Ask, provider: ProviderServer) -> None:
    provider.script(Behaviour(before_head=math.inf))
    with pytest.raises(openai.InternalServerError) as caught:
        ask("hasty", extra_headers={"x-llmops-timeout": "3600"})
    assert caught.value.status_code == 504
