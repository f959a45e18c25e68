"""One connection to the service: several requests on it, and how long it stays."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import re
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from llm_service import sample
from llm_service.chat.handler import new_id
from llm_service.chat.state import DIRECT
from llm_service.protocol import Direct, Protocol

DOCUMENTS = sample.FOLDER / "documents.jsonl"
Start = Callable[..., Any]
QUESTION = json.dumps({"messages": [{"role": "user", "content": "Who fixes the boiler?"}]}).encode()
JSON = {"content-type": "application/json"}


def request(*more: str, version: str = "1.1") -> bytes:
    head = [
        f"POST /v1/chat/completions HTTP/{version}",
        "Host: here",
        "Content-Type: application/json",
        f"Content-Length: {len(QUESTION)}",
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode() + QUESTION


def test_requests_sent_at_once_are_answered_one_after_another(start: Start) -> None:
    server = start("--no-auth", "--corpus", str(DOCUMENTS))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(request() * 2 + request("Connection: close"))
        found = b"".join(iter(lambda: line.recv(65536), b""))
    answers = found.split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 3
    assert [b"connection: close" in answer for answer in answers] == [False, False, True]
    for answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert len(body) == int(re.findall(rb"content-length: (\d+)", head)[0])
        assert head.count(b"\r\ndate: ") == head.count(b"\r\nx-llmops-release: ") == 1
        assert json.loads(body)["object"] == "chat.completion"
    assert len({json.loads(answer.partition(b"\r\n\r\n")[2])["id"] for answer in answers}) == 3


def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(start: Start) -> None:
    server = start("--no-auth", "--corpus", str(DOCUMENTS))
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nx-long: ")
        while not select.select([line], [], [], 0.1)[0]:
            line.sendall(b"a" * 16_384)
            sent += 16_384
            assert sent < 4_000_000
        found = line.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["error"]["code"] == "head_too_large"
    assert server.status("/healthz") == 200


def test_a_head_in_pieces_is_read_and_a_long_body_is_none_of_it(start: Start) -> None:
    server = start("--no-auth", "--corpus", str(DOCUMENTS))
    content = QUESTION[:-1] + b', "metadata": {"note": "' + b"n" * 300_000 + b'"}}'
    head = request().partition(b"\r\n\r\n")[0]
    head = head.replace(b": %d" % len(QUESTION), b": %d" % len(content)) + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(head) - 7, 7):
            line.sendall(head[at : at + 7])
        line.sendall(head[at + 7 :] + content)
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_of_http_1_0_gets_its_answer_and_the_end(start: Start) -> None:
    server = start("--no-auth", "--corpus", str(DOCUMENTS))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(request(version="1.0"))
        found = b"".join(iter(lambda: line.recv(65536), b""))
    assert found.startswith(b"HTTP/1.1 200") and b"connection: close" in found


async def test_a_connection_is_closed_once_it_was_idle_for_long_enough() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        direct: Direct = scope["extensions"][DIRECT]
        assert direct.whole(200, [(b"content-length", b"2")], b"ok")
        assert not direct.whole(200, [(b"content-length", b"2")], b"ok")

    config = uvicorn.Config(
        app, http=Protocol, timeout_keep_alive=1, lifespan="off", log_config=None
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        loop = asyncio.get_running_loop()
        for pause in (0.6, 0.6, 0.0):
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
            last = loop.time()
            await asyncio.sleep(pause)
        assert await asyncio.wait_for(reader.read(), 5.0) == b""
        assert 0.9 < loop.time() - last < 3.0
        writer.close()
        server.should_exit = True
        await serving


def test_ids_are_never_given_twice_not_even_to_a_child() -> None:
    new_id("")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id("") for _ in range(100)).encode())
        os._exit(0)
    mine = [new_id("") for _ in range(100)]
    theirs = os.read(reading, 2400).decode()
    os.waitpid(child, 0)
    both = {*mine, *(theirs[i : i + 24] for i in range(0, 2400, 24))}
    assert len(both) == 200 and all(len(each) == 24 for each in both)


def test_a_stream_is_framed_and_leaves_its_connection_open(start: Start) -> None:
    server = start("--no-auth", "--corpus", str(DOCUMENTS))
    asked = json.loads(QUESTION) | {"stream": True}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        connection.request("POST", "/v1/chat/completions", json.dumps(asked), JSON)
        reply = connection.getresponse()
        assert (reply.status, reply.headers.get_all("transfer-encoding")) == (200, ["chunked"])
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = reply.read().split(b"\n\n")
        assert b'"role":"assistant"' in events[0] and events[-2:] == [b"data: [DONE]", b""]
    connection.close()


CHUNKED = {"type": "http.response.start", "status": 200, "headers": []}


async def whole(direct: Direct, send: Any) -> None:
    assert direct.whole(200, [(b"content-length", b"3")], b"end")


async def streamed(direct: Direct, send: Any) -> None:
    assert direct.begin(200, [], b"first") and direct.piece(b"more") and direct.end(b"end")


async def by_asgi(direct: Direct, send: Any) -> None:
    await send(CHUNKED)
    await send({"type": "http.response.body", "body": b"end", "more_body": False})


@pytest.mark.parametrize("answered", [whole, streamed, by_asgi])
async def test_a_request_that_is_answered_leaves_nothing_to_the_garbage_collector(
    answered: Callable[[Direct, Any], Any],
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answered(scope["extensions"][DIRECT], send)

    async def asked(times: int) -> None:
        for _ in range(times):
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"end")

    config = uvicorn.Config(app, http=Protocol, lifespan="off", log_config=None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        await asked(5)
        gc.collect()
        gc.disable()
        try:
            await asked(100)
            found = sum(isinstance(each, Direct) for each in gc.get_objects())
        finally:
            gc.enable()
        writer.close()
        server.should_exit = True
        await serving
    assert found <= 1
