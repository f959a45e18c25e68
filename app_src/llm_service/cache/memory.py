"""The answers in this process: the least recently given ones leave when it gets too much."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from llm_service.cache.values import Cached


class Memory:
    """At most `capacity` bytes of answers by digest, each for its own time."""

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = capacity, clock
        self._entries: OrderedDict[bytes, tuple[float, Cached]] = OrderedDict()
        self.bytes = 0
        self.evicted = 0
        self.expired = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> Cached | None:
        """The answer at `digest`, if it is not too old."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self.expired += 1
            self.drop(digest)
            return None
        self._entries.move_to_end(digest)
        return entry[1]

    def put(self, digest: bytes, cached: Cached, seconds: float) -> None:
        """Keeps an answer for `seconds`, unless it alone is more than there is room for."""
        self.drop(digest)
        if cached.size > self._capacity or seconds <= 0:
            return
        self._entries[digest] = (self._clock() + seconds, cached)
        self.bytes += cached.size
        while self.bytes > self._capacity:
            self.evicted += 1
            self.drop(next(iter(self._entries)))

    def drop(self, digest: bytes) -> None:
        """Forgets the answer at `digest`, if there is one."""
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self.bytes -= entry[1].size
