"""Virtual time: real time, run faster, so that a minute of AWS passes in a second of work."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class VirtualClock:
    """Starts at the real time and then runs `speed` times as fast. Implements `ports.Clock`."""

    def __init__(self, speed: float = 1.0, *, real: Callable[[], float] = time.time) -> None:
        if speed <= 0:
            raise ValueError(f"the speed of a clock must be above 0, not {speed}")
        self.speed = speed
        self._real = real
        self._origin = real()

    def now(self) -> datetime:
        """The virtual time, timezone-aware, UTC."""
        return self.at(self._real())

    def at(self, real_epoch_seconds: float) -> datetime:
        """The virtual time of a real instant (seconds since the epoch)."""
        passed = real_epoch_seconds - self._origin
        return datetime.fromtimestamp(self._origin + passed * self.speed, tz=UTC)

    def real_seconds(self, virtual_seconds: float) -> float:
        """How long a virtual duration really takes."""
        return virtual_seconds / self.speed
