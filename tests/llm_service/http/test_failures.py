"""What a caller is told when there is no usable answer, and that the connection is gone then."""

from __future__ import annotations

import asyncio
import socket

import pytest
from raw_server import Peer, RawServer, Script, answer, once, until

from llm_service.http import Broken, HttpClient, HttpError, TimedOut, Unreachable

OK = b"HTTP/1.1 200 OK\r\n"
SECRET = "sk-very-secret"


async def failed(client: HttpClient, script: Script, seconds: float = 5.0) -> HttpError:
    """The error of one request to a server that follows `script`; nothing secret is in it."""
    async with RawServer(script) as server:
        endpoint = client.endpoint(f"{server.url}/{SECRET}", {"authorization": SECRET})
        with pytest.raises(HttpError) as caught:
            await endpoint.post(SECRET.encode(), seconds)
        await until(lambda: client.connections == 0)
        assert server.accepted <= 1
    sentence = str(caught.value)
    assert SECRET not in sentence and sentence.endswith(".") and server.url in sentence
    return caught.value


async def test_nobody_listens(client: HttpClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match="refused"):
            await client.endpoint(url, {}).post(b"", 5.0)
    assert client.connections == 0


async def test_a_name_that_does_not_exist(client: HttpClient) -> None:
    with pytest.raises(Unreachable, match="name cannot be resolved"):
        await client.endpoint("http://no-such-host.invalid", {}).post(b"", 5.0)


async def test_no_connection_in_time(make) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = [socket.socket() for _ in range(4)]
        for one in held:  # fills the queue of connections that nobody accepts
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"within 0\.1 s"):
            await make(connect_timeout=0.1).endpoint(url, {}).post(b"", 5.0)
        with pytest.raises(TimedOut, match=r"within 0\.1 s"):
            await make().endpoint(url, {}).post(b"", 0.1)
        for one in held:
            one.close()


@pytest.mark.parametrize("then", ["close", "reset", "end"])
async def test_lost_before_the_answer(client: HttpClient, then: str) -> None:
    assert isinstance(await failed(client, once(then=then)), Unreachable)


@pytest.mark.parametrize("then", ["close", "reset", "end"])
@pytest.mark.parametrize(
    "pieces",
    [
        b"HTTP/1.1 200",
        OK + b"Content-Length: 5\r\n",
        OK + b"Content-Length: 5\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_lost_within_the_answer(client: HttpClient, pieces: bytes, then: str) -> None:
    error = await failed(client, once(pieces, then=then))
    assert isinstance(error, Broken) and error.cut


async def test_a_reset_is_no_end_of_an_answer_without_a_length(client: HttpClient) -> None:
    error = await failed(client, once(OK + b"\r\nhello", then="reset"))
    assert isinstance(error, Broken) and error.cut


@pytest.mark.parametrize(
    "pieces",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"<html>no status line</html>",
        b"HTTP/2 200\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n",
        OK + b"No Colon\r\n\r\n",
        OK + b"Folded: a\r\n b\r\n\r\n",
        OK + b"Split: a\nb\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
    ],
)
async def test_what_is_not_http(client: HttpClient, pieces: bytes) -> None:
    error = await failed(client, once(pieces, then="wait"))
    assert isinstance(error, Broken) and not error.cut


def endless(start: bytes, again: bytes) -> Script:
    """Sends `start`, and `again` until the client hangs up."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(start)
        while True:
            await peer.send(again)

    return script


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (OK, b"X-A: " + b"a" * 1000 + b"\r\n"),
        (OK + b"X-A: ", b"a" * 1000),
        (b"HTTP/1.1 200 ", b"a" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: " + b"a" * 1000 + b"\r\n"),
    ],
    ids=["headers", "one header", "reason", "chunk extension", "trailers"],
)
async def test_a_head_without_end_is_given_up(client: HttpClient, start, again) -> None:
    error = await failed(client, endless(start, again))
    assert isinstance(error, Broken) and "too long" in str(error)


async def test_a_body_above_the_limit_is_given_up(make) -> None:
    client = make(body_limit=10_000)
    assert "longer than 10000 bytes" in str(await failed(client, endless(OK + b"\r\n", b"a" * 999)))


@pytest.mark.parametrize("drip", [b"", b"H", b"X-A: 1\r\n"])
async def test_the_time_is_for_the_whole_answer(client: HttpClient, drip: bytes) -> None:
    """A server that keeps sending something is not excused: slow head, slow body, nothing."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if drip != b"H":
            await peer.send(OK)
        for byte in (drip or answer()) * 1000:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0.02)

    assert isinstance(await failed(client, script, seconds=0.1), (TimedOut, Broken))


async def test_a_server_that_never_answers(client: HttpClient) -> None:
    error = await failed(client, once(then="wait"), seconds=0.05)
    assert isinstance(error, TimedOut) and "within 0.05 s" in str(error)


@pytest.mark.parametrize("sent", [b"", OK, OK + b"Content-Length: 5\r\n\r\nhe"])
async def test_a_cancelled_request_closes_its_connection(client: HttpClient, sent: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        await peer.gone()

    async with RawServer(script) as server:
        task = asyncio.create_task(client.endpoint(server.url, {}).post(b"", 60.0))
        await until(lambda: len(server.heads) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.gone == 1)
        assert client.connections == 0


async def test_a_request_cancelled_while_it_connects_leaves_nothing(make) -> None:
    client = make()
    async with RawServer(once(answer())) as server:
        for turns in range(12):
            task = asyncio.create_task(client.endpoint(server.url, {}).post(b"", 60.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await until(lambda: client.connections == 0)
        await until(lambda: server.ended == server.accepted)


async def test_a_request_cancelled_by_a_timeout_of_the_caller(client: HttpClient) -> None:
    async with RawServer(once(then="wait")) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.endpoint(server.url, {}).post(b"", 60.0)
        await until(lambda: server.gone == 1)
