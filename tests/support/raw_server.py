"""A server of bytes: each connection it accepts is played by a script, so it can break any rule."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

DEADLINE = 10.0
"""Seconds after which a test's patience ends."""


class Peer:
    """One accepted connection; `number` counts from 1."""

    def __init__(
        self, server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server.accepted += 1
        self.server, self.number = server, server.accepted
        self._reader, self._writer = reader, writer

    async def request(self) -> bytes:
        """The next request's body, once it came in whole; its head is kept in `server.heads`."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        return await self._reader.readexactly(int(sizes[0].split(b":")[1]) if sizes else 0)

    async def head(self) -> None:
        """Returns when a request's head came in; its body stays unread."""
        await self._reader.readuntil(b"\r\n\r\n")

    async def requests(self) -> AsyncIterator[bytes]:
        """Every request until the client hangs up."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                yield await self.request()

    async def send(self, *pieces: bytes) -> None:
        """Sends each piece in a segment of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    def end(self) -> None:
        """Half-closes: nothing more will come from this side."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Closes with a reset."""
        transport = self._writer.transport
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()

    async def gone(self) -> None:
        """Returns when the client has closed its side, and notes it in `server.gone`."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while await self._reader.read(65536):
                pass
        self.server.gone += 1

    async def close(self) -> None:
        """Closes and waits for the socket to be gone."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await self._writer.wait_closed()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Listens while it is entered. Counts what it accepted and what hung up on it."""

    def __init__(
        self, script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._script, self._host, self._tls = script, host, tls
        self.accepted = self.gone = self.ended = self.port = 0
        self.heads: list[bytes] = []
        self.errors: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, ssl=self._tls, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not self.errors, self.errors

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(self, reader, writer)
        try:
            await self._script(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - shown by the test that owns the server
            self.errors.append(error)
        finally:
            self.ended += 1
            await peer.close()


def answer(body: bytes = b"hello", *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def always(*pieces: bytes) -> Script:
    """A script that answers every request with `pieces`, and keeps the connection."""

    async def script(peer: Peer) -> None:
        async for _ in peer.requests():
            await peer.send(*pieces)

    return script


def once(*pieces: bytes, then: str = "close") -> Script:
    """A script that answers one request with `pieces` and closes, resets, half-closes or waits."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)
        if then == "reset":
            await asyncio.sleep(0.02)  # the kernel drops unread bytes at a reset
            peer.reset()
        elif then == "end":
            peer.end()
            await peer.gone()
        elif then == "wait":
            await peer.gone()

    return script


async def until(condition: Callable[[], bool], complaint: str = "it never happened") -> None:
    """Returns once `condition` holds; fails after DEADLINE seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    while not condition():
        assert loop.time() < end, complaint
        await asyncio.sleep(0.001)
