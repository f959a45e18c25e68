"""Which requests share a connection, and which connections stay: all of it counted."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from raw_server import Peer, RawServer, always, answer, until

from llm_service.http import HttpClient, TimedOut, Unreachable


def sockets() -> int:
    """The sockets that this process has open."""
    found = 0
    for entry in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{entry}").startswith("socket:")
        except FileNotFoundError:
            continue
    return found


async def test_a_hundred_requests_one_after_another_use_one_connection(client) -> None:
    async with RawServer(always(answer())) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(100):
            assert (await endpoint.post(b"{}", 5.0)).body == b"hello"
        assert (server.accepted, len(server.heads), client.connections) == (1, 100, 1)


async def test_requests_at_once_use_as_many_connections_and_those_are_used_again(client) -> None:
    async with RawServer(always(answer())) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(5):
            await asyncio.gather(*(endpoint.post(b"{}", 5.0) for _ in range(20)))
        assert (server.accepted, len(server.heads)) == (20, 100)


async def test_streams_and_whole_answers_and_endpoints_share_connections(client) -> None:
    async with RawServer(always(answer())) as server:
        for path in ("/a", "/b"):
            endpoint = client.endpoint(server.url + path, {})
            await endpoint.post(b"{}", 5.0)
            async with endpoint.stream(b"{}", 5.0) as stream:
                assert [piece async for piece in stream] == [b"hello"]
            await client.get(server.url, 5.0)
        assert (server.accepted, len(server.heads)) == (1, 6)


async def test_no_more_than_max_idle_connections_are_kept(make) -> None:
    client = make(max_idle=3)
    async with RawServer(always(answer())) as server:
        endpoint = client.endpoint(server.url, {})
        await asyncio.gather(*(endpoint.post(b"{}", 5.0) for _ in range(10)))
        await until(lambda: client.connections == 3)


async def test_an_idle_connection_is_closed_after_idle_seconds(make) -> None:
    client = make(idle_seconds=0.05)
    async with RawServer(always(answer())) as server:
        await client.endpoint(server.url, {}).post(b"{}", 5.0)
        assert client.connections == 1
        await until(lambda: client.connections == 0 and server.ended == 1)


@pytest.mark.parametrize("told", ["Connection: close", "connection: Close"])
async def test_a_connection_that_the_server_will_close_is_not_used_again(client, told) -> None:
    async with RawServer(always(answer(b"hello", told))) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(3):
            await endpoint.post(b"{}", 5.0)
        assert server.accepted == 3
        await until(lambda: client.connections == 0)


async def test_a_connection_that_ended_while_idle_is_forgotten(client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        for number in range(3):
            await endpoint.post(b"{}", 5.0)
            await until(lambda: client.connections == 0)
            assert server.accepted == number + 1


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_request_on_a_stale_connection_is_repeated_on_a_fresh_one(client, streaming):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        if peer.number == 1:
            await peer.request()  # the request that crossed with the end of the connection
            return
        await peer.request()
        await peer.send(answer())
        await peer.gone()

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        await endpoint.post(b"1", 5.0)
        for _ in range(2):
            if streaming:
                async with endpoint.stream(b"2", 5.0) as stream:
                    assert await stream.read(9) == b"hello"
            else:
                assert (await endpoint.post(b"2", 5.0)).body == b"hello"
        assert (server.accepted, len(server.heads)) == (2, 4)


async def test_a_request_is_repeated_only_once(client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.send(answer())
            await peer.request()

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        await endpoint.post(b"1", 5.0)
        with pytest.raises(Unreachable):
            await endpoint.post(b"2", 5.0)
        assert (server.accepted, len(server.heads)) == (2, 3)


async def test_bytes_that_nobody_asked_for_end_a_connection(client) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer())
        if peer.number == 1:
            await asyncio.sleep(0.02)
            await peer.send(answer(b"forged"))
        await peer.request()
        await peer.send(answer(b"true"))

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        await endpoint.post(b"1", 5.0)
        await until(lambda: client.connections == 0)
        await endpoint.post(b"2", 5.0)
        assert (await endpoint.post(b"3", 5.0)).body == b"true"
        assert server.accepted == 2


async def test_a_second_answer_in_the_same_segment_is_dropped_with_its_connection(client) -> None:
    async with RawServer(always(answer() + answer(b"forged"))) as server:
        endpoint = client.endpoint(server.url, {})
        for _ in range(3):
            assert (await endpoint.post(b"1", 5.0)).body == b"hello"
        assert server.accepted == 3


async def test_nagle_is_off_and_the_socket_is_kept_alive(client, monkeypatch) -> None:
    seen: list[socket.socket] = []
    real = asyncio.get_running_loop().create_connection

    async def create(*args, **kwargs):
        made = await real(*args, **kwargs)
        seen.append(made[0].get_extra_info("socket"))
        return made

    async with RawServer(always(answer())) as server:
        loop = asyncio.get_running_loop()
        if not hasattr(loop, "__dict__"):
            pytest.skip("this loop's methods cannot be watched")
        monkeypatch.setattr(loop, "create_connection", create)
        await client.endpoint(server.url, {}).post(b"1", 5.0)
        assert seen[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert seen[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_close_closes_idle_and_busy_connections_and_refuses_later_ones(client) -> None:
    async def script(peer: Peer) -> None:
        if await peer.request() == b"fast":
            await peer.send(answer())
        await peer.gone()

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        slow = asyncio.create_task(endpoint.post(b"slow", 5.0))
        await until(lambda: len(server.heads) == 1)
        await endpoint.post(b"fast", 5.0)
        assert client.connections == 2
        await client.close()
        assert client.connections == 0
        with pytest.raises(Unreachable):
            await slow
        await until(lambda: server.gone == 2)
        with pytest.raises(Unreachable, match="closed"):
            await endpoint.post(b"late", 5.0)


async def test_nothing_is_left_open_after_answers_of_every_kind(make) -> None:
    async def script(peer: Peer) -> None:
        async for body in peer.requests():
            if body == b"cut":
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
                return
            if body == b"reset":
                peer.reset()
                return
            if body == b"hang":
                await peer.gone()
                return
            await peer.send(answer())

    before = sockets()
    client = make()
    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        kinds = [b"cut", b"reset", b"fine", b"hang"] * 25
        results = await asyncio.gather(
            *(endpoint.post(kind, 0.3 if kind == b"hang" else 10.0) for kind in kinds),
            return_exceptions=True,
        )
        assert [isinstance(result, Exception) for result in results] == [
            kind != b"fine" for kind in kinds
        ]
        await client.close()
    await until(lambda: sockets() <= before, f"{sockets()} sockets, {before} before")


async def test_two_origins_do_not_share_connections(client: HttpClient) -> None:
    async with RawServer(always(answer(b"a"))) as one, RawServer(always(answer(b"b"))) as two:
        for _ in range(2):
            assert (await client.endpoint(one.url, {}).post(b"", 5.0)).body == b"a"
            assert (await client.endpoint(two.url, {}).post(b"", 5.0)).body == b"b"
        assert (one.accepted, two.accepted, client.connections) == (1, 1, 2)


async def test_each_request_on_a_connection_has_its_own_time(client) -> None:
    slow = 0.4

    async def script(peer: Peer) -> None:
        async for _ in peer.requests():
            await asyncio.sleep(slow)
            await peer.send(answer())

    async with RawServer(script) as server:
        endpoint = client.endpoint(server.url, {})
        for seconds in (0.6, 5.0, 0.7, 5.0):
            assert (await endpoint.post(b"{}", seconds)).body == b"hello"
        assert server.accepted == 1
        with pytest.raises(TimedOut, match=r"within 0\.1 s"):
            await endpoint.post(b"{}", 0.1)
