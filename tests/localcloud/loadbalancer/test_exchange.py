"""One request there and back: headers, bodies, streams, and every way a target can fail."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web


async def ready(bench: Any, serve: Any, handler: Callable[..., Any]) -> None:
    """One group with one target; health checks on /health are answered 200 here."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response()
        response: web.StreamResponse = await handler(request)
        return response

    bench.groups = {"A": (await serve(answer),)}
    bench.check = type(bench.check)(path="/health", interval_seconds=6)
    await bench.apply(A=1)
    await bench.healthy("A")


async def test_a_target_sees_who_asked_and_not_the_hop_by_hop_headers(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    seen: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return web.Response(headers={"X-Hop": "gone", "Connection": "X-Hop", "X-Kept": "yes"})

    await ready(bench, serve, handler)
    headers = {
        "Connection": "X-Secret",
        "X-Secret": "1",
        "TE": "trailers",
        "X-Forwarded-For": "9.9.9.9",
    }
    async with client.get(bench.url + "/p%2Fq?a=%20b", headers=headers) as answer:
        assert "X-Hop" not in answer.headers
        assert answer.headers["X-Kept"] == "yes"
    got = seen[0].headers
    assert seen[0].raw_path == "/p%2Fq?a=%20b"
    assert got["Host"] == f"127.0.0.1:{bench.port}"
    assert got["X-Forwarded-For"] == "9.9.9.9, 127.0.0.1"
    assert (got["X-Forwarded-Proto"], got["X-Forwarded-Port"]) == ("http", str(bench.port))
    assert got["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert "X-Secret" not in got
    assert "TE" not in got


async def test_a_trace_keeps_its_root(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.headers["X-Amzn-Trace-Id"])

    await ready(bench, serve, handler)
    given = {"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678;Parent=1"}
    async with client.get(bench.url, headers=given) as answer:
        text = await answer.text()
    assert text.startswith("Self=1-")
    assert text.endswith(";Root=1-67891233-abcdef012345678912345678;Parent=1")


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 404, 429, 500, 503])
async def test_every_status_passes_through_and_is_counted(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any, status: int
) -> None:
    async def handler(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers={"Location": "/x"})

    await ready(bench, serve, handler)
    async with client.get(bench.url, allow_redirects=False) as answer:
        assert answer.status == status
    key = ("targetgroup/A/1", f"HTTPCode_Target_{status // 100}XX_Count")
    await wait(lambda: bench.told.counts[key] == 1)
    assert bench.told.counts["targetgroup/A/1", "RequestCount"] == 1
    assert len(bench.told.times) == 1


async def test_bodies_of_all_sizes_arrive_unchanged(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        chunked = "Content-Length" not in request.headers
        return web.Response(body=body, headers={"X-Chunked": str(chunked)})

    await ready(bench, serve, handler)
    for size in (0, 1, 65_536, 5_000_000):
        body = bytes(range(256)) * (size // 256) or b"x" * size
        async with client.post(bench.url, data=body) as answer:
            assert await answer.read() == body
            assert answer.headers["X-Chunked"] == "False"

    async def parts() -> Any:
        for _ in range(10):
            yield b"z" * 1000

    async with client.put(bench.url, data=parts()) as answer:
        assert await answer.read() == b"z" * 10_000
        assert answer.headers["X-Chunked"] == "True"


async def test_a_client_that_waits_for_continue_gets_it(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert "Expect" not in request.headers
        return web.Response(body=await request.read())

    await ready(bench, serve, handler)
    async with client.post(bench.url, data=b"hello", expect100=True) as answer:
        assert await answer.read() == b"hello"


async def test_head_has_the_length_and_no_body(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    async def handler(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"12345")

    await ready(bench, serve, handler)
    for _ in range(2):
        async with client.head(bench.url) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "5")


async def test_compressed_answers_stay_compressed(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    packed = gzip.compress(b"hello" * 100)

    async def handler(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    await ready(bench, serve, handler)
    async with client.get(bench.url) as answer:
        assert await answer.read() == packed
        assert answer.headers["Content-Encoding"] == "gzip"


async def test_server_sent_events_arrive_one_by_one(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    allowed = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await allowed.wait()
        await response.write(b"data: two\n\n")
        return response

    await ready(bench, serve, handler)
    async with client.get(bench.url) as answer:
        assert await answer.content.readuntil(b"\n\n") == b"data: one\n\n"
        allowed.set()
        assert await answer.content.read() == b"data: two\n\n"


async def test_an_upload_reaches_the_target_as_it_is_sent(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    first_came = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        first = await request.content.readany()
        first_came.set()
        return web.Response(body=first + await request.content.read())

    async def parts() -> Any:
        yield b"one"
        await asyncio.wait_for(first_came.wait(), 5)
        yield b"two"

    await ready(bench, serve, handler)
    async with client.post(bench.url, data=parts()) as answer:
        assert await answer.read() == b"onetwo"


async def test_a_client_that_leaves_ends_the_request_at_the_target(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    ended: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"tick")
                await asyncio.sleep(0.01)
        except ConnectionError:
            ended.append("left")
            raise

    await ready(bench, serve, handler)
    answer = await client.get(bench.url)
    await answer.content.readany()
    answer.close()
    await wait(lambda: ended)


async def test_a_target_that_breaks_off_before_answering_is_502_and_not_asked_twice(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    asked: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    await ready(bench, serve, handler)
    for method in ("POST", "GET"):
        async with client.request(method, bench.url) as answer:
            assert answer.status == 502
    assert asked == ["POST", "GET"]
    key = ("", "HTTPCode_ELB_5XX_Count")
    await wait(lambda: bench.told.counts[key] == 2)


async def test_a_target_that_breaks_in_the_middle_cuts_the_client_off(
    bench: Any, serve: Any, client: aiohttp.ClientSession
) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    await ready(bench, serve, handler)
    async with client.get(bench.url) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_a_silent_target_is_504_and_blocks_nobody(
    bench: Any, serve: Any, client: aiohttp.ClientSession, wait: Any
) -> None:
    asked: list[str] = []
    released = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/slow":
            asked.append(request.path)
            await released.wait()
        return web.Response(text="quick")

    bench.idle_seconds = 2.0
    await ready(bench, serve, handler)

    async def status() -> int:
        async with client.get(bench.url + "/slow") as answer:
            return answer.status

    hung = [asyncio.create_task(status()) for _ in range(150)]
    await wait(lambda: len(asked) == 150)
    async with client.get(bench.url + "/") as answer:
        assert await answer.text() == "quick"
    assert not any(task.done() for task in hung)
    assert set(await asyncio.gather(*hung)) == {504}
    released.set()


async def test_a_refused_connection_tries_one_other_target(
    bench: Any, named: Any, client: aiohttp.ClientSession, wait: Any, free_port: Any
) -> None:
    bench.groups = {"A": (await named("a"), ("127.0.0.1", free_port()))}
    bench.check = type(bench.check)(enabled=False)
    await bench.apply(A=1)
    for _ in range(10):
        async with client.post(bench.url, data=b"x") as answer:
            assert (answer.status, await answer.text()) == (200, "a")
    bench.groups = {"A": (("127.0.0.1", free_port()),)}
    await bench.apply(A=1)
    async with client.get(bench.url) as answer:
        assert answer.status == 502
    key = ("targetgroup/A/1", "TargetConnectionErrorCount")
    await wait(lambda: bench.told.counts[key] >= 6)
