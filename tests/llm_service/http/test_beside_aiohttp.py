"""Against a server that others wrote: aiohttp's, which knows nothing of this client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from llm_service.http import HttpClient


class Echo:
    """Answers what it is sent, in the way the path asks for; counts connections."""

    def __init__(self) -> None:
        self.peers: set[object] = set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.peers.add(request.transport)
        body = await request.read()
        if request.path == "/whole":
            return web.Response(body=body, headers={"x-seen": request.headers["content-type"]})
        if request.path == "/close":
            answer = web.Response(body=body)
            answer.force_close()
            return answer
        stream = web.StreamResponse()
        if request.path == "/chunked":
            stream.enable_chunked_encoding()
        await stream.prepare(request)
        for start in range(0, len(body), 1000):
            await stream.write(body[start : start + 1000])
        await stream.write_eof()
        return stream


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """The server, on a free port."""
    served = Echo()
    application = web.Application(client_max_size=2**24)
    application.router.add_post("/{path}", served.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.mark.parametrize("path", ["whole", "chunked", "stream"])
@pytest.mark.parametrize("size", [0, 1, 999, 1000, 65_536, 1_000_000])
async def test_bodies_come_back_as_they_were(client: HttpClient, echo: Echo, path, size) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    endpoint = client.endpoint(f"{echo.url}/{path}", {"content-type": "application/json"})
    reply = await endpoint.post(body, 5.0)
    assert (reply.status, reply.body) == (200, body)
    async with endpoint.stream(body, 5.0) as stream:
        assert b"".join([piece async for piece in stream]) == body
    assert len(echo.peers) == client.connections == 1


async def test_a_crowd_is_served_on_few_connections(client: HttpClient, echo: Echo) -> None:
    paths = ["whole", "chunked", "stream", "close"]
    endpoints = [client.endpoint(f"{echo.url}/{path}", {"content-type": "a/b"}) for path in paths]

    async def one(number: int) -> None:
        endpoint = endpoints[number % 3]
        for turn in range(25):
            body = b"%d-%d" % (number, turn) * 500
            assert (await endpoint.post(body, 10.0)).body == body

    await asyncio.gather(*(one(number) for number in range(16)))
    assert len(echo.peers) <= 16
    assert (await endpoints[3].post(b"bye", 5.0)).body == b"bye"


async def test_an_error_status_and_an_unknown_path(client: HttpClient, echo: Echo) -> None:
    reply = await client.get(f"{echo.url}/whole", 5.0)
    assert reply.status == 405 and "POST" in reply.headers["allow"]
