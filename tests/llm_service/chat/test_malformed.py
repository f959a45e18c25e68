"""1,000 malformed bodies, headers and streams: each is a clear 4xx, and the service goes on."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest

from llm_service import sample

NUMBER = 1000
AT_ONCE = 20
SECONDS = 20.0
"""For one of them, on a machine that has other things to do."""
PATH = "/v1/chat/completions"
GOOD = {"messages": [{"role": "user", "content": "When is the till closed?"}]}
OTHER: tuple[Any, ...] = (
    None,
    7,
    -1,
    1e300,
    "",
    "x",
    [],
    {},
    True,
    [[]],
    [None],
    {"a": 1},
    "\u0000",
    [{"type": 1}],
)
TYPED = (
    "messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "n", "stop", "seed", "response_format", "tools", "tool_choice",
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "user",
)  # fmt: skip
WRONG: dict[str, tuple[Any, ...]] = {
    "messages": (None, 7, "x", {}, [], [7], [{}], [{"role": "wizard", "content": "x"}]),
    "model": (7, [], {}, "no-such-model", "x" * 300),
    "stream": (7, "yes", [], {}),
    "stream_options": (7, "x", [], {"include_usage": 7}),
    "max_tokens": (0, -1, 1.5, "7", [], True, 10**30),
    "max_completion_tokens": (0, -5, "x", {}),
    "temperature": (-0.1, 2.1, "hot", [], 1e300, True),
    "top_p": (-1, 1.01, "x", {}),
    "n": (0, 2, "1", []),
    "stop": (7, {}, [7], ["a", "b", "c", "d", "e"], ""),
    "seed": (1.5, "x", [], 2**70),
    "response_format": (7, "json", {}, {"type": "xml"}, {"type": "json_schema"}),
    "tools": (7, {}, [7], [{}], [{"type": "function"}], [{"type": "x", "function": {"name": "a"}}]),
    "tool_choice": (7, "maybe", [], {"type": "function"}, "required"),
    "frequency_penalty": (-3, 3, "x"),
    "presence_penalty": (-3, 3, []),
    "logit_bias": (7, [], {"a": "x"}),
    "logprobs": (7, "x"),
    "top_logprobs": (-1, 21, "x"),
    "user": (7, [], {}),
}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
PARTS: tuple[Any, ...] = (
    IMAGE,
    {"type": "input_audio"},
    {"type": "file"},
    {"type": "text"},
    {"text": "x"},
    {},
    7,
)
MESSAGES: tuple[Any, ...] = (
    {"role": "user"},
    {"role": "assistant"},
    {"role": "tool", "content": "x"},
    {"role": "user", "content": 7},
    {"role": "user", "content": "x" * 40_000},
    {"role": "assistant", "tool_calls": [{"id": "", "function": {}}]},
    {"content": "x"},
    None,
)


def framed(body: bytes, *more: str) -> bytes:
    head = [f"POST {PATH} HTTP/1.1", "Host: service", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body


def typed(body: bytes, *more: str) -> bytes:
    return framed(body, "Content-Type: application/json", *more)


def wrong_field(chance: random.Random) -> bytes:
    name = chance.choice(TYPED)
    return typed(json.dumps({**GOOD, name: chance.choice(WRONG[name])}).encode())


def wrong_message(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        message: Any = {"role": "user", "content": [chance.choice(PARTS)]}
    else:
        message = chance.choice(MESSAGES)
    return typed(json.dumps({"messages": [*GOOD["messages"], message]}).encode())


def cut_json(chance: random.Random) -> bytes:
    whole = json.dumps(GOOD).encode()
    return typed(whole[: chance.randrange(len(whole))])


def no_json(chance: random.Random) -> bytes:
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: chance.randbytes(chance.randrange(1, 200)),
        lambda: b"[" * chance.randrange(1, 5000),
        lambda: json.dumps(chance.choice(OTHER)).encode(),
        lambda: b"\xff\xfe" + json.dumps(GOOD).encode(),
        lambda: b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        lambda: json.dumps(GOOD).encode().replace(b"user", b"us\xc3\x28er"),
        lambda: b"messages=hello",
    )
    return typed(chance.choice(kinds)())


def wrong_header(chance: random.Random) -> bytes:
    body = json.dumps(GOOD).encode()
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: framed(body, f"Content-Type: {chance.choice(['text/plain', 'image/png', 'x'])}"),
        lambda: typed(body, f"x-llmops-timeout: {chance.choice(['soon', '-1', '0', 'nan', ''])}"),
        lambda: typed(body, "no colon here"),
        lambda: typed(body, "Bad Name: x"),
        lambda: typed(body, "Content-Length: 7"),
        lambda: typed(body).replace(b"HTTP/1.1", b"HTTP/9.9"),
        lambda: typed(body).replace(b"POST", b"P@ST"),
        lambda: typed(body).replace(b"Host: service", b"Host: ser\x00vice"),
        lambda: typed(body, f"Content-Length: {chance.choice(['x', '-1', '1e3'])}"),
    )
    return chance.choice(kinds)()


def wrong_stream(chance: random.Random) -> bytes:
    """A chunked body that is none, or a body that ends too early."""
    body = json.dumps(GOOD).encode()
    head = typed(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: head + b"zz\r\n" + body,
        lambda: head + b"5\r\n" + body[:9],
        lambda: head + b"%x\r\n%s\r\n" % (len(body), body),
        lambda: head + b"-1\r\n",
        lambda: typed(body)[: -chance.randrange(1, len(body))],
        lambda: typed(body)[: chance.randrange(10, 60)],
    )
    return chance.choice(kinds)()


KINDS = (wrong_field, wrong_message, cut_json, no_json, wrong_header, wrong_stream)


def requests() -> Iterator[tuple[str, bytes]]:
    chance = random.Random(4)
    for number in range(NUMBER):
        kind = KINDS[number % len(KINDS)]
        yield kind.__name__, kind(chance)


async def answer(port: int, request: bytes) -> bytes:
    """What comes back until the server closes, or has answered in full."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def told(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


async def test_each_of_a_thousand_is_told_what_is_wrong(open_gateway: Any) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(kind: str, request: bytes) -> None:
        async with slots, asyncio.timeout(SECONDS):
            found = await answer(open_gateway.port, request)
        try:
            status, error = told(found)
        except (IndexError, ValueError, KeyError):
            pytest.fail(f"{kind}: {request[:300]!r} was answered {found[:300]!r}")
        assert 400 <= status < 500, (kind, request[:300], error)
        assert error["message"].endswith("."), error
        assert error["type"], error

    await asyncio.gather(*(one(kind, request) for kind, request in requests()))
    good = httpx.post(f"{open_gateway.url}{PATH}", json=GOOD)
    assert good.status_code == 200


@pytest.fixture(scope="module")
def open_gateway(start: Callable[..., Any]) -> Any:
    documents = str(sample.FOLDER / "documents.jsonl")
    return start("--no-auth", CORPUS_URI=documents, QUALITY_SAMPLE="0")
