"""The connections to one origin: the idle ones are reused, the youngest first.

There is no limit on connections in use: as many requests as run at once, as many connections. A
server closes an idle connection when it likes, so one that was idle is only tried; the client
repeats the request on a fresh one if the old one gives no byte of an answer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable

from llm_service.http.connection import Connection
from llm_service.http.errors import TimedOut, Unreachable
from llm_service.http.heads import Origin


class Pool:
    """Connections to `origin`. `tls` makes the TLS context when the first one is needed."""

    def __init__(
        self,
        origin: Origin,
        *,
        connect_timeout: float,
        max_idle: int,
        idle_seconds: float,
        body_limit: int,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._origin, self._tls = origin, tls
        self._connect_timeout, self._body_limit = connect_timeout, body_limit
        self._max_idle, self._idle_seconds = max_idle, idle_seconds
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def connections(self) -> int:
        """Open sockets, in use and idle."""
        return len(self._open)

    def take(self, now: float) -> Connection | None:
        """An idle connection that was open a moment ago, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.alive and connection.idle_until > now:
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection, now: float) -> None:
        """Takes back a connection after its exchange; closes it unless it can be used again."""
        if not connection.reusable or self._closed or len(self._idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_until = now + self._idle_seconds
        self._idle.append(connection)
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(self._idle_seconds, self._sweep, loop)

    async def connect(self, ends: float, seconds: float) -> Connection:
        """A fresh connection. Raises Unreachable, or TimedOut where the request's time is over."""
        if self._closed:
            raise Unreachable("The HTTP client is closed.")
        loop = asyncio.get_running_loop()
        connection = Connection(str(self._origin), loop, self._body_limit, self._lost)
        last = loop.time() + self._connect_timeout
        self._open.add(connection)
        try:
            async with asyncio.timeout_at(min(last, ends)):
                await self._dial(loop, connection)
        except BaseException as error:
            connection.abort()
            self._open.discard(connection)  # uvloop does not call connection_lost in this case
            if isinstance(error, TimeoutError) and ends <= last:
                sentence = f"{self._origin} did not answer in full within {seconds:g} s."
                raise TimedOut(sentence) from error
            if isinstance(error, OSError):
                raise Unreachable(self._why(error)) from error
            raise
        return connection

    async def close(self) -> None:
        """Closes every connection and returns when the sockets are closed."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        if self._open:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    async def _dial(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        secure = self._origin.scheme == "https"
        transport, _ = await loop.create_connection(
            lambda: connection,
            self._origin.host,
            self._origin.port,
            ssl=self._tls() if secure else None,
            server_hostname=self._origin.host if secure else None,
        )
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _why(self, error: OSError) -> str:
        origin = self._origin
        if isinstance(error, TimeoutError):
            return f"No connection to {origin} within {self._connect_timeout:g} s."
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"The certificate of {origin} is not trusted: {error.verify_message}."
        if isinstance(error, ssl.SSLError):
            return f"No TLS connection to {origin}: {error.reason or 'the handshake failed'}."
        if isinstance(error, socket.gaierror):
            return f"No connection to {origin}: its name cannot be resolved."
        why = os.strerror(error.errno) if error.errno else "none of its addresses took it"
        return f"No connection to {origin}: {why}."

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes what was idle for too long; the oldest are on the left."""
        self._sweeper = None
        now = loop.time()
        while self._idle and not (self._idle[0].alive and self._idle[0].idle_until > now):
            self._idle.popleft().abort()
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_until, self._sweep, loop)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._empty is not None and not self._open and not self._empty.done():
            self._empty.set_result(None)
