"""What a cache outside the process must do, and how a request is protected from it.

A store may be away or slow without any request noticing: each call gets TIMEOUT seconds, a call
that fails is a miss, and after FAILURES in a row nobody asks for PAUSE seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

TIMEOUT = 0.05
"""Seconds that a request waits for a store."""
FAILURES = 3
PAUSE = 5.0

T = TypeVar("T")


class Store(Protocol):
    """Answers outside the process, as bytes. Both may raise Away."""

    name: str

    async def get(self, digest: bytes) -> bytes | None:
        """What is kept at `digest`."""
        ...

    async def put(self, digest: bytes, data: bytes, seconds: float) -> None:
        """Keeps `data` for `seconds`."""
        ...


class Patience:
    """Waits for one store, but not long, and not again and again."""

    def __init__(
        self, seconds: float = TIMEOUT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._clock = seconds, clock
        self._failures, self._until = 0, 0.0
        self.errors = 0

    @property
    def paused(self) -> bool:
        """Whether nobody asks at the moment."""
        return self._failures >= FAILURES and self._clock() < self._until

    async def wait(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` finds; None where it fails, takes too long, or is paused."""
        if self.paused:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                found = await work()
        except Exception:  # noqa: BLE001 - whatever it is, the request goes on without
            self.failed()
            return None
        self._failures = 0
        return found

    def failed(self) -> None:
        """Counts a failure."""
        self.errors += 1
        self._failures += 1
        self._until = self._clock() + PAUSE
