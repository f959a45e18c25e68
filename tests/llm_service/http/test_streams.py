"""Answers that are read piece by piece: at once, at the reader's pace, and no further than read."""

from __future__ import annotations

import asyncio

import pytest
from raw_server import Peer, RawServer, always, answer, once, until

from llm_service.http import Broken, HttpClient, TimedOut, Unreachable

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


async def test_a_piece_is_there_before_the_next_one_is_sent(client: HttpClient) -> None:
    step = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD)
        for number in range(5):
            await step.wait()
            step.clear()
            await peer.send(b"1\r\n%d\r\n" % number)
        await step.wait()
        await peer.send(END)
        await peer.gone()

    async with RawServer(script) as server:
        async with client.endpoint(server.url, {}).stream(b"{}", 5.0) as stream:
            assert (stream.status, stream.headers) == (200, {"transfer-encoding": "chunked"})
            step.set()
            seen = []
            async for piece in stream:
                seen.append(piece)
                step.set()
        assert seen == [b"0", b"1", b"2", b"3", b"4"]
        assert client.connections == 1


async def test_a_slow_reader_makes_the_server_wait(client: HttpClient) -> None:
    """Whatever the server would send, little more than a quarter of a megabyte is held."""
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(HEAD)
        for _ in range(1000):
            await peer.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
        await peer.send(END)
        await peer.gone()

    async with RawServer(script) as server:
        async with client.endpoint(server.url, {}).stream(b"{}", 20.0) as stream:
            stuck = -1
            while stuck != sent:
                stuck = sent
                await asyncio.sleep(0.05)
            assert sent < 40_000_000
            first = await anext(stream)
            assert len(first) < 1_000_000
            total = len(first)
            async for piece in stream:
                assert len(piece) < 1_000_000
                total += len(piece)
        assert total == 65_536_000
        assert client.connections == 1


async def test_a_stream_that_is_left_early_closes_its_connection(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD, b"5\r\nhello\r\n")
        await peer.gone()

    async with RawServer(script) as server:
        async with client.endpoint(server.url, {}).stream(b"{}", 5.0) as stream:
            assert await anext(stream) == b"hello"
        await until(lambda: server.gone == 1 and client.connections == 0)
        assert [piece async for piece in stream] == []


async def test_an_error_in_the_readers_block_closes_its_connection(client: HttpClient) -> None:
    async with RawServer(once(HEAD, then="wait")) as server:
        with pytest.raises(KeyError):
            async with client.endpoint(server.url, {}).stream(b"{}", 5.0):
                raise KeyError
        await until(lambda: server.gone == 1 and client.connections == 0)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"5\r\nhello\r\n"])
async def test_a_cancelled_reader_closes_its_connection(client: HttpClient, sent: bytes) -> None:
    async def read(url: str) -> None:
        async with client.endpoint(url, {}).stream(b"{}", 60.0) as stream:
            async for _ in stream:
                pass

    async with RawServer(once(sent, then="wait")) as server:
        task = asyncio.create_task(read(server.url))
        await until(lambda: len(server.heads) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.gone == 1 and client.connections == 0)


@pytest.mark.parametrize("then", ["close", "reset", "end"])
async def test_what_came_before_a_cut_is_given_out_first(client: HttpClient, then: str) -> None:
    async with RawServer(once(HEAD + b"5\r\nhello\r\n", then=then)) as server:
        seen = b""
        with pytest.raises(Broken) as caught:
            async with client.endpoint(server.url, {}).stream(b"{}", 5.0) as stream:
                async for piece in stream:
                    seen += piece
        assert caught.value.cut and seen == b"hello"
        await until(lambda: client.connections == 0)


async def test_a_connection_that_is_lost_before_the_head(client: HttpClient) -> None:
    async with RawServer(once()) as server:
        with pytest.raises(Unreachable):
            async with client.endpoint(server.url, {}).stream(b"{}", 5.0):
                pass


async def test_the_time_is_for_the_whole_stream(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD)
        while True:
            await peer.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    async with RawServer(script) as server:
        with pytest.raises(TimedOut):
            async with client.endpoint(server.url, {}).stream(b"{}", 0.2) as stream:
                async for _ in stream:
                    pass
        await until(lambda: client.connections == 0)


async def test_read_gives_the_rest_up_to_a_limit(client: HttpClient) -> None:
    async with RawServer(always(answer(b"x" * 1000))) as server:
        endpoint = client.endpoint(server.url, {})
        async with endpoint.stream(b"{}", 5.0) as stream:
            assert await stream.read(5000) == b"x" * 1000
            assert await stream.read(5000) == b""
        async with endpoint.stream(b"{}", 5.0) as stream:
            assert await stream.read(10) == b"x" * 10
        assert server.accepted == 1


async def test_an_answer_that_had_wholly_come_keeps_its_connection_though_unread(client) -> None:
    async with RawServer(always(answer())) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(5):
            async with endpoint.stream(b"{}", 5.0) as stream:
                assert stream.status == 200
        assert server.accepted == 1


async def test_many_streams_at_once_keep_their_pieces_apart(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        async for body in peer.requests():
            await peer.send(HEAD, *[b"%x\r\n%b\r\n" % (len(body), body)] * 20, END)

    async def read(url: str, body: bytes) -> bytes:
        async with client.endpoint(url, {}).stream(body, 10.0) as stream:
            return b"".join([piece async for piece in stream])

    async with RawServer(script) as server:
        bodies = [b"<%d>" % number for number in range(64)]
        assert await asyncio.gather(*(read(server.url, body) for body in bodies)) == [
            body * 20 for body in bodies
        ]
