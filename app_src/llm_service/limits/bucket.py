"""A token bucket in one number: the moment at which it would be full again.

`left = capacity - rate * max(0, full_at - now)`. Taking moves the moment on, giving back moves it
towards now; nothing has to be refilled (the virtual scheduling form of the leaky bucket of ITU-T
I.371, known as GCRA).
"""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """How much of one thing one caller may still use; `now` in monotonic seconds."""

    limit: int

    def take(self, amount: float, now: float) -> float:
        """Takes `amount` and says 0; else takes nothing and says in how many seconds to try."""
        ...

    def correct(self, by: float, now: float) -> None:
        """Takes `by` more unasked, or gives it back where it is negative."""
        ...

    def left(self, now: float) -> float:
        """What could be taken now."""
        ...


class Bucket:
    """`limit` times `share` per minute, all of it at once if nothing was used for a minute."""

    __slots__ = ("_full_at", "_pace", "_window", "limit")

    def __init__(self, limit: int, share: float = 1.0) -> None:
        self.limit = limit
        self._window = 60.0
        self._pace = 60.0 / (limit * share)
        self._full_at = 0.0

    def take(self, amount: float, now: float) -> float:
        full_at = (self._full_at if self._full_at > now else now) + amount * self._pace
        late = full_at - now - self._window
        if late > 1e-9:
            return late
        self._full_at = full_at
        return 0.0

    def correct(self, by: float, now: float) -> None:
        self._full_at = (self._full_at if self._full_at > now else now) + by * self._pace

    def left(self, now: float) -> float:
        used = self._full_at - now
        if used <= 0:
            return self._window / self._pace
        return (self._window - used) / self._pace if used < self._window else 0.0
