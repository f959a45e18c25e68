"""With sticky routing the session is what the router randomises, so it is what is bet on: once.

The turns of a session share its arm and are alike, so betting on each of them would count the same
coin many times. Of each session the mean of its first minutes is taken as one outcome. Whether and
when it is reported depends on the clock and on the session's own first turn, never on its arm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

LISTEN = 120.0
"""Seconds from a session's first turn in which its turns are averaged."""


class Sessions:
    """Turns go in one by one, in the order of time; whole sessions come out, each once."""

    def __init__(self) -> None:
        self.open: dict[int, tuple[int, float, list[float]]] = {}
        self.done: set[int] = set()

    def add(self, session: int, arm: int, at: float, value: float) -> Iterator[tuple[int, float]]:
        """Take in a turn; yields (arm, mean) of the sessions that are due by `at`, in seconds."""
        for known, (its_arm, since, values) in list(self.open.items()):
            if at - since < LISTEN:
                break
            del self.open[known]
            self.done.add(known)
            if values:
                yield its_arm, math.fsum(values) / len(values)
        if session not in self.done and not math.isnan(value):
            self.open.setdefault(session, (arm, at, []))[2].append(value)
