"""A thread that takes what the event loop offers and hands it on in batches.

Offering appends to a bounded queue and never waits: neither for whoever receives (a full pipe, a
collector that hangs) nor for a lock. What does not fit is counted as dropped, a batch that the
receiver refuses as failed. One batch is on its way at a time.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

logger = logging.getLogger("llm_service")

T = TypeVar("T")


class Background(Generic[T]):
    """Calls `handle` with what was offered, at most `batch` at once, from `start` to `stop`.

    Items collect for `linger` seconds from the first one. `handle` may raise: the batch then
    counts as failed and is gone.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[list[T]], None],
        *,
        capacity: int,
        batch: int,
        linger: float,
    ) -> None:
        self.name, self._handle = name, handle
        self._capacity, self._batch, self._linger = capacity, batch, linger
        self._queue: deque[T] = deque()
        self._more, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = self.failed = self.handled = 0

    @property
    def queued(self) -> int:
        """Items not yet taken."""
        return len(self._queue)

    def start(self) -> None:
        """Begins to take; further calls do nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def offer(self, item: T) -> None:
        """Queues `item`, or drops and counts it where the queue is full."""
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(item)
        if not self._more.is_set():
            self._more.set()

    def stop(self, seconds: float) -> None:
        """Hands on what is queued for at most `seconds`; what is left counts as dropped."""
        self._closing.set()
        self._more.set()
        if self._thread:
            self._thread.join(seconds)
        left = len(self._queue)
        if left:
            self.dropped += left
            logger.error("%s: %d were not handed on before the end", self.name, left)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {
            "queued": self.queued,
            "handled": self.handled,
            "failed": self.failed,
            "dropped": self.dropped,
        }

    def _run(self) -> None:
        while self._queue or not self._closing.is_set():
            self._more.wait()
            self._closing.wait(self._linger)
            self._more.clear()
            while self._queue:
                taken = min(self._batch, len(self._queue))
                self._hand_on([self._queue.popleft() for _ in range(taken)])

    def _hand_on(self, items: list[T]) -> None:
        try:
            self._handle(items)
            self.handled += len(items)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch may go through
            if not self.failed:
                logger.warning("%s: a batch was lost: %s", self.name, type(error).__name__)
            self.failed += len(items)
