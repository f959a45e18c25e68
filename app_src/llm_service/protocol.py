"""uvicorn's HTTP/1.1 over httptools, with refusals worded as all others are, and a way past ASGI.

What is no HTTP never reaches an application, so uvicorn refuses it itself, in plain text; and a
request that ends before its body does is dropped without a word. Here both hear an error object.

An application finds a `Direct` among the extensions of its scope: it writes an answer with its head
in one piece, where ASGI takes two messages and two writes, and tells that the client hung up by a
call, where ASGI takes a task that waits for it. Each of these costs a chat as much as its parsing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from llm_service.chat.state import DIRECT
from llm_service.errors import ApiError
from llm_service.writes import Together

NO_HTTP = "The request is no HTTP/1.1: check its request line, headers and body's framing."
MOST_HEAD = 64 * 1024
"""Bytes of a request's head, beyond what is read at once: what AWS's load balancers let through."""
ENDLESS = f"The request's head is too large: send at most {MOST_HEAD} bytes of headers."
CUT = "The request ended before its body did: send all of it."


class Protocol(HttpToolsProtocol):
    """One connection."""

    _reading = False
    _waiting = 0
    _idle_since: float | None = None
    _running: RequestResponseCycle | None = None
    hung_up: Callable[[], None] | None = None
    """Called when the connection is lost: whoever answers at the moment wants to know."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._together = Together(transport, self.loop)
        super().connection_made(self._together)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, which would keep a head of any length."""
        if not (self._reading and self._endless(data)):
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._reading, self._waiting = True, 0
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._reading = False
        super().on_message_complete()

    def eof_received(self) -> None:
        """The client sends nothing more; it may still read what is on its way to it."""
        self._together.flush()
        if self._reading and not self._answering():
            self._refuse(CUT, "incomplete_request")

    def on_response_complete(self) -> None:
        """As uvicorn's, whose timer of an idle connection is made anew with every answer. Here it
        stays, and looks how long the connection has been idle when it rings."""
        self._forget()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._ring_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that has been idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._ring_in(left)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if self.hung_up is not None:
            self.hung_up()
        self._forget()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, unless an answer is on its way: its end then tells."""
        if self._answering():
            self.transport.close()
        else:
            self._refuse(NO_HTTP, "invalid_http")

    def _endless(self, data: bytes) -> bool:
        """Whether the request that `data` goes on with has a head too long already; that is
        refused, and what comes after it is not looked at. `data` itself may hold the head's end
        and much of a body."""
        if "method" in self.scope:
            return False
        if self._waiting <= MOST_HEAD:
            self._waiting += len(data)
            return False
        if self._answering():
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(ENDLESS, "head_too_large", 431)
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: Any = cycle.scope
        scope["extensions"] = {DIRECT: Direct(self, cycle)}
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _forget(self) -> None:
        """Drops the request's `Direct`, which knows what knows it: else each request would wait in
        memory for the garbage collector."""
        if self._running is not None:
            scope: Any = self._running.scope
            scope["extensions"] = {}
            self._running = None

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _ring_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _answering(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _refuse(self, sentence: str, code: str, status: int = 400) -> None:
        body = ApiError(status, sentence, code=code).body()
        heads = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + heads % len(body) + body)
        self.transport.close()


class Direct:
    """One request and its answer, past ASGI. It may be left unused, at any moment."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: Protocol, cycle: RequestResponseCycle) -> None:
        self._protocol, self._cycle = protocol, cycle

    def watch(self, hung_up: Callable[[], None]) -> None:
        """Has `hung_up` called once the client hangs up; soon, if it has."""
        protocol = self._protocol
        protocol.hung_up = hung_up
        protocol.flow.resume_reading()
        if protocol.parser is None:
            protocol.loop.call_soon(hung_up)

    def leave(self) -> None:
        """Ends that."""
        self._protocol.hung_up = None

    def body(self) -> bytes | None:
        """The body, where all of it has come with the head; None: ASGI waits for the rest."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        found, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        cycle.flow.resume_reading()
        return found

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]], data: bytes) -> bool:
        """Writes the head of an answer without a length, and the first part of it; as `whole`."""
        cycle = self._cycle
        if cycle.disconnected or cycle.response_started or cycle.flow.write_paused or not data:
            return False
        cycle.chunked_encoding = True
        chunked = (b"transfer-encoding", b"chunked")
        cycle.transport.write(self._head(status, (*headers, chunked)) + _chunk(data))
        return True

    def piece(self, data: bytes) -> bool:
        """Writes a part of an answer that `begin` or ASGI began; as `whole`."""
        cycle = self._cycle
        if cycle.disconnected or cycle.flow.write_paused or not cycle.chunked_encoding or not data:
            return False
        cycle.transport.write(_chunk(data))
        return True

    def end(self, data: bytes) -> bool:
        """Writes the last part of it; as `whole`."""
        cycle = self._cycle
        if cycle.disconnected or cycle.flow.write_paused or not cycle.chunked_encoding or not data:
            return False
        cycle.transport.write(_chunk(data) + b"0\r\n\r\n")
        self._complete()
        return True

    def whole(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Writes an answer; False where it cannot be written at once: ASGI then waits.

        `headers` are written as they are, in small letters; the body's length is among them.
        """
        cycle = self._cycle
        if cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
            return False
        cycle.transport.write(self._head(status, headers) + body)
        self._complete()
        return True

    def _head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head, with uvicorn's own headers; it is on its way from here on."""
        cycle = self._cycle
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        lines = [b"%b: %b\r\n" % each for each in (*cycle.default_headers, *headers)]
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        return b"".join((STATUS_LINE[status], *lines, end))

    def _complete(self) -> None:
        """The answer is written: its connection waits for the next request, or closes."""
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def _chunk(data: bytes) -> bytes:
    """RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)
