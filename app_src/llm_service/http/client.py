"""The client that carries every call to a provider: HTTP/1.1, keep-alive, nothing more.

It follows no redirect, keeps no cookie, decompresses nothing and uses no proxy (the variables
HTTP_PROXY and HTTPS_PROXY are ignored): a provider's address answers itself.

A request may be sent twice in one case: it went out on a connection that had been idle, and that
connection ended without one byte of an answer, as when the server closed it at the same moment. It
is then repeated once, on a fresh connection, within the same time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Coroutine, Mapping
from types import TracebackType
from typing import Any

from llm_service.http.connection import Connection, HttpReply
from llm_service.http.errors import Unreachable
from llm_service.http.heads import Origin, address, fields, head
from llm_service.http.pool import Pool

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest answer that is kept whole."""


class HttpClient:
    """Connections to any number of origins, for one event loop.

    `connect_timeout` and `idle_seconds` are seconds; `max_idle` connections are kept per origin.
    Without `ssl_context` certificates are verified against the system's authorities.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 5.0,
        max_idle: int = 64,
        idle_seconds: float = 60.0,
        ssl_context: ssl.SSLContext | None = None,
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._connect_timeout, self._max_idle = connect_timeout, max_idle
        self._idle_seconds, self._body_limit = idle_seconds, body_limit
        self._context = ssl_context
        self._pools: dict[Origin, Pool] = {}

    @property
    def connections(self) -> int:
        """Open sockets, in use and idle."""
        return sum(pool.connections for pool in self._pools.values())

    def endpoint(self, url: str, headers: Mapping[str, str]) -> Endpoint:
        """Where requests are posted to, with `headers` on each of them.

        Raises ValueError for an address or a header that cannot be sent.
        """
        origin, target = address(url)
        return Endpoint(self._pool(origin), head("POST", origin, target, headers))

    async def get(
        self, url: str, seconds: float, headers: Mapping[str, str] | None = None
    ) -> HttpReply:
        """The answer to a GET, whole, within `seconds`. Raises HttpError; ValueError as above."""
        origin, target = address(url)
        request = head("GET", origin, target, headers or {}) + b"\r\n"
        return await _whole(self._pool(origin), request, seconds)

    async def close(self) -> None:
        """Closes every connection; requests under way fail, and so does every later one."""
        for pool in self._pools.values():
            await pool.close()

    def _pool(self, origin: Origin) -> Pool:
        if origin not in self._pools:
            self._pools[origin] = Pool(
                origin,
                connect_timeout=self._connect_timeout,
                max_idle=self._max_idle,
                idle_seconds=self._idle_seconds,
                body_limit=self._body_limit,
                tls=self._tls,
            )
        return self._pools[origin]

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


class Endpoint:
    """One address that requests are posted to; made by `HttpClient.endpoint`."""

    __slots__ = ("_head", "_pool")

    def __init__(self, pool: Pool, rendered: bytes) -> None:
        self._pool, self._head = pool, rendered

    def post(
        self, body: bytes, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Coroutine[Any, Any, HttpReply]:
        """The whole answer to `body`, within `seconds`, to be awaited. Raises HttpError; ValueError
        at once for headers that cannot be sent."""
        return _whole(self._pool, self._request(body, headers), seconds)

    def stream(
        self, body: bytes, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Opening:
        """`async with` it: the answer to `body` piece by piece. `seconds` are for the whole of it.

        Raises HttpError where it is entered or read.
        """
        return Opening(self._pool, self._request(body, headers), seconds)

    def _request(self, body: bytes, headers: Mapping[str, str] | None) -> bytes:
        if headers:
            return b"%bcontent-length: %d\r\n%b\r\n%b" % (
                self._head, len(body), fields(headers), body,
            )  # fmt: skip
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)


class Opening:
    """A streamed answer before its head is there."""

    __slots__ = ("_connection", "_pool", "_request", "_seconds", "_stream")

    def __init__(self, pool: Pool, request: bytes, seconds: float) -> None:
        self._pool, self._request, self._seconds = pool, request, seconds
        self._stream: HttpStream | None = None

    async def __aenter__(self) -> HttpStream:
        connection = await _begun(self._pool, self._request, self._seconds)
        self._stream = HttpStream(connection)
        return self._stream

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            connection = self._stream.leave()
            if connection is not None:
                self._pool.give(connection, asyncio.get_running_loop().time())


class HttpStream:
    """A streamed answer: iterate over its pieces, each as it came in, none of them empty.

    What a slow reader leaves is held up to a quarter of a megabyte; then the server has to wait.
    Leaving it before its end closes the connection.
    """

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self.status, self.headers = connection.status, connection.headers

    def __aiter__(self) -> HttpStream:
        return self

    async def __anext__(self) -> bytes:
        found = await self._connection.piece() if self._connection is not None else b""
        if not found:
            raise StopAsyncIteration
        return found

    def piece(self) -> Awaitable[bytes]:
        """The next piece, empty at the end; for who reads many and has not left."""
        assert self._connection is not None
        return self._connection.piece()

    async def read(self, limit: int) -> bytes:
        """The rest of the answer, or its next `limit` bytes; what is beyond them is lost."""
        found = bytearray()
        async for piece in self:
            found += piece
            if len(found) >= limit:
                break
        return bytes(found[:limit])

    def leave(self) -> Connection | None:
        """The connection, which this stream will not read any more."""
        connection, self._connection = self._connection, None
        return connection


async def _whole(pool: Pool, request: bytes, seconds: float) -> HttpReply:
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    connection = pool.take(ends - seconds)
    if connection is not None:
        connection.send(request, ends, seconds, streaming=False)
        try:
            reply = await connection.whole()
        except Unreachable:
            pass
        else:
            pool.give(connection, loop.time())
            return reply
    connection = await pool.connect(ends, seconds)
    connection.send(request, ends, seconds, streaming=False)
    reply = await connection.whole()
    pool.give(connection, loop.time())
    return reply


async def _begun(pool: Pool, request: bytes, seconds: float) -> Connection:
    """A connection on which the head of the answer to `request` has come."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    connection = pool.take(ends - seconds)
    if connection is not None:
        connection.send(request, ends, seconds, streaming=True)
        try:
            await connection.head()
        except Unreachable:
            pass
        else:
            return connection
    connection = await pool.connect(ends, seconds)
    connection.send(request, ends, seconds, streaming=True)
    await connection.head()
    return connection
