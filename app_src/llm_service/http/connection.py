"""One connection: a request out in one write, its answer in through llhttp, nothing in between.

A connection is idle, or it has one exchange: from `send` until the answer is complete or the
exchange failed. No task runs for it; the coroutine that asked waits on one future, and the event
loop's callbacks feed the parser. An exchange that failed, was cancelled or ran out of time takes
its connection with it, for what would still arrive on it belongs to nobody.

Where the answer ends (RFC 9112, section 6.3): at its length, at its last chunk, at its head if the
status has no body, else at the end of the connection. Only an orderly end counts for that last
case: a reset, or over TLS an end without the closing alert, is a cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

import msgspec
from httptools import HttpResponseParser
from httptools.parser.errors import HttpParserError

from llm_service.http.errors import Broken, HttpError, TimedOut, Unreachable
from llm_service.writes import Together

HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's head, and of what may stand between two pieces of its body."""
STREAM_LIMIT = 256 * 1024
"""Bytes of a streamed answer that wait for their reader before the server is made to wait."""


class HttpReply(msgspec.Struct, frozen=True):
    """A whole answer. Names of headers are in lower case; repeated ones are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Refused(Exception):
    """Raised inside the parser's callbacks: why the answer cannot be used."""


class Connection(asyncio.Protocol):
    """A connection to `origin`; `body_limit` bytes is the longest answer that is kept whole.

    `lost` is called once, when the socket is closed.
    """

    __slots__ = (
        "_body_limit", "_complete", "_ends", "_error", "_fields", "_framed", "_head_size",
        "_held", "_loop", "_lost", "_origin", "_parser", "_paused", "_pieces", "_quiet",
        "_seconds", "_started", "_streaming", "_timer", "_transport", "_waiter", "alive",
        "headers", "idle_until", "reusable", "status",
    )  # fmt: skip

    headers: Mapping[str, str]
    _fields: list[tuple[bytes, bytes]]
    _pieces: list[bytes]
    _error: HttpError | None

    def __init__(
        self,
        origin: str,
        loop: asyncio.AbstractEventLoop,
        body_limit: int,
        lost: Callable[[Connection], None],
    ) -> None:
        self._origin, self._loop, self._body_limit, self._lost = origin, loop, body_limit, lost
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._complete, self._paused, self.alive = True, False, True
        self.reusable, self.idle_until, self._ends = False, 0.0, 0.0
        self._forget()

    # What the client calls.

    def send(self, request: bytes, ends: float, seconds: float, *, streaming: bool) -> None:
        """Begins an exchange that must be over at `ends` (the loop's time), `seconds` from its
        beginning."""
        assert self._transport is not None
        self._forget()
        self._complete, self._streaming, self._seconds = False, streaming, seconds
        self._ends = ends
        if self._timer is None or self._timer.when() > ends:
            self._stop_timer()
            self._timer = self._loop.call_at(ends, self._expire)
        self._transport.write(request)

    async def whole(self) -> HttpReply:
        """The whole answer. Raises HttpError."""
        try:
            while not self._complete:
                await self._news()
        except BaseException:
            self.abort()
            raise
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return HttpReply(self.status, self.headers, body)

    async def head(self) -> None:
        """Returns once `status` and `headers` are there. Raises HttpError."""
        try:
            while not self.status:
                await self._news()
        except BaseException:
            self.abort()
            raise

    async def piece(self) -> bytes:
        """What of the body arrived since; empty at its end. Raises HttpError."""
        try:
            while not self._pieces:
                if self._complete:
                    return b""
                await self._news()
        except BaseException:
            self.abort()
            raise
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._paused:
            self._read_on()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def abort(self) -> None:
        """Closes the socket at once, whatever the state."""
        self.alive = self.reusable = False
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        inner = cast(asyncio.Transport, transport)  # uvloop's do not inherit
        self._transport = Together(inner, self._loop)
        if not self.alive:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._complete:
            self.abort()
            return
        self._started = True
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._refuse(error)
            return
        if self._quiet > HEAD_LIMIT + 1024:
            self._fail(self._broken("its head is too long", cut=False))

    def eof_received(self) -> None:
        self.alive = self.reusable = False
        if self._complete:
            return
        if self.status and not self._framed:
            self._finish()
        else:
            self._fail(self._ended())

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = self.reusable = False
        self._stop_timer()
        if not self._complete:
            self._fail(self._ended())
        self._transport = None
        self._lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._complete:
            raise _Refused("it is followed by another one")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_LIMIT:
            raise _Refused("its head is too long")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._quiet = 0
        status = self._parser.get_status_code()
        fields, self._fields = self._fields, []
        if status == 101:
            raise _Refused("it changes the protocol")
        if status < 200:
            return
        headers = self.headers = _joined(fields)
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            raise _Refused("it is encoded in a way that was not asked for")
        self._framed = coding is not None or "content-length" in headers
        self.status = status
        if self._streaming:
            self._wake()

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        self._pieces.append(body)
        self._held += len(body)
        if self._streaming:
            self._wake()
            if self._held > STREAM_LIMIT and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        elif self._held > self._body_limit:
            raise _Refused(f"it is longer than {self._body_limit} bytes")

    def on_message_complete(self) -> None:
        if self.status:
            self.reusable = (
                self.alive
                and self._parser.should_keep_alive()
                and self._transport is not None
                and self._transport.get_write_buffer_size() == 0
            )
            self._finish()

    # Within.

    def _forget(self) -> None:
        self._read_on()
        self.status, self.headers = 0, _EMPTY
        self._fields, self._pieces, self._error = [], [], None
        self._started = self._framed = self._streaming = False
        self._quiet = self._head_size = self._held = 0

    def _read_on(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _news(self) -> asyncio.Future[None]:
        """Done when something happened. Raises what has already ended the exchange."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _finish(self) -> None:
        self._complete = True
        self._wake()

    def _fail(self, error: HttpError) -> None:
        """The exchange is over; the first error is the one that is told."""
        if self._error is None and not self._complete:
            self._error = error
        self.abort()
        self._wake()

    def _refuse(self, error: HttpParserError) -> None:
        if self._complete:
            self.abort()
            return
        cause = error.__context__
        why = str(cause) if isinstance(cause, _Refused) else "it is not HTTP/1.1"
        self._fail(self._broken(why, cut=False))

    def _expire(self) -> None:
        """The timer is one for all exchanges: what comes later than it was set for sets it anew."""
        self._timer = None
        if self._complete:
            return
        if self._ends > self._loop.time():
            self._timer = self._loop.call_at(self._ends, self._expire)
            return
        sentence = f"{self._origin} did not answer in full within {self._seconds:g} s."
        self._fail(TimedOut(sentence))

    def _ended(self) -> HttpError:
        if self._started:
            return self._broken("it ended before its end", cut=True)
        return Unreachable(f"{self._origin} closed the connection without an answer.")

    def _broken(self, why: str, *, cut: bool) -> Broken:
        return Broken(f"The answer of {self._origin} cannot be used: {why}.", cut=cut)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_EMPTY: Mapping[str, str] = {}


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """`fields` by lower-case name; the values of a repeated one are joined by commas."""
    found: dict[str, str] = {}
    for raw, value in fields:
        name = raw.decode("latin-1").lower()
        text = value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found
