"""The writes of one round of the event loop, made together.

uvloop hands every write to the system at once, and the system then wakes whoever reads it, on
another core: a service that serves many at a time spends a tenth of its processor on waking peers
that have hardly gone to sleep, and its instructions and the system's push each other out of the
caches. Here the first write of a round goes out at once and wakes them; those that follow wait for
each other, until MOST are there or the round ends. What goes to one connection meanwhile goes in
one piece. Where a round has one write in it, nothing waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast
from weakref import WeakKeyDictionary

MOST = 16
"""Connections whose writes wait for each other: more save little, and hold back streams."""

_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Outbox] = WeakKeyDictionary()


class Together(asyncio.Transport):
    """`inner`, with writes that wait for the end of the round; closing it does not lose them."""

    __slots__ = ("_inner", "_outbox", "_pieces")

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._pieces = inner, list[bytes]()
        outbox = _outboxes.get(loop)
        if outbox is None:
            outbox = _outboxes[loop] = _Outbox(loop)
        self._outbox = outbox

    def write(self, data: Any) -> None:
        """Takes bytes, which go out soon."""
        self._pieces.append(data)
        if len(self._pieces) == 1:
            self._outbox.add(self)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """The same for several."""
        for data in list_of_data:
            self.write(data)

    def flush(self) -> None:
        """Writes what waits, now."""
        pieces, self._pieces = self._pieces, []
        if pieces and not self._inner.is_closing():
            self._inner.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Closes once everything is written."""
        self.flush()
        self._inner.close()

    def abort(self) -> None:
        """Closes at once; what waits is lost."""
        self._pieces = []
        self._inner.abort()

    def write_eof(self) -> None:
        """Ends this side once everything is written."""
        self.flush()
        self._inner.write_eof()

    def get_write_buffer_size(self) -> int:
        """Bytes that are not with the system yet."""
        return sum(map(len, self._pieces)) + self._inner.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """As the inner transport's, like everything below."""
        return self._inner.can_write_eof()

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()


class _Outbox:
    """The transports of one event loop that have something to write."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = cast(Any, loop)
        self._waiting: list[Together] = []
        self._in_round = False

    def add(self, transport: Together) -> None:
        if not self._in_round:
            self._in_round = True
            self._loop.call_soon(self._end)
            transport.flush()
            return
        self._waiting.append(transport)
        if len(self._waiting) >= MOST:
            self._flush()

    def _end(self) -> None:
        self._in_round = False
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport in waiting:
            transport.flush()
