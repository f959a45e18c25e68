"""A circuit breaker: who fails too often is left alone for a while, then tried with few calls.

The machine is the table `MOVES`; whatever is not in it raises and changes nothing. Each entry into
a state begins a new era, and a call is judged in the era that admitted it: what a call that began
before says later changes nothing.

    closed     calls go through; outcomes are counted over the last `window_seconds`
    open       none goes through for `cool_down` seconds
    half_open  `probes` calls go through; all must succeed, and one failure is enough

The idea is M. Nygard's ("Release It!", 2007); rate over a sliding window with a minimum number of
calls is how Hystrix and resilience4j read it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NewType

State = Literal["closed", "open", "half_open"]
Happening = Literal["tripped", "cooled", "recovered", "relapsed"]
Permit = NewType("Permit", int)
"""What an admitted call hands back with its outcome: the number of its era."""

MOVES: Final[dict[tuple[State, Happening], State]] = {
    ("closed", "tripped"): "open",
    ("open", "cooled"): "half_open",
    ("half_open", "recovered"): "closed",
    ("half_open", "relapsed"): "open",
}
SLOTS = 10
"""The window moves in tenths of its length: that much memory, whatever the load."""


class IllegalMove(Exception):
    """The machine has no such move; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a breaker opens: `failure_rate` (0 to 1) of at least `minimum_calls` within
    `window_seconds`; for `cool_down` seconds; and how many `probes` must succeed then."""

    window_seconds: float = 30.0
    minimum_calls: int = 10
    failure_rate: float = 0.5
    cool_down: float = 10.0
    probes: int = 2


class Breaker:
    """One breaker. `clock` gives seconds that never go back."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._state: State = "closed"
        self._era, self._until = 0, 0.0
        self._enter()

    @property
    def state(self) -> State:
        """Where it stands; an open one stays open until the first call after its cool-down."""
        return self._state

    @property
    def wait(self) -> float:
        """Seconds until an open breaker lets a call through; 0 in the other states."""
        return max(0.0, self._until - self._clock()) if self._state == "open" else 0.0

    @property
    def counts(self) -> tuple[int, int]:
        """Calls and failures in the window."""
        self._forget(self._slot())
        return sum(slot[1] for slot in self._slots), sum(slot[2] for slot in self._slots)

    def admit(self) -> Permit | None:
        """A permit for one call, or None. Every permit must come back, with one of three words."""
        if self._state == "open" and self._clock() >= self._until:
            self.move("cooled")
        if self._state == "open":
            return None
        if self._state == "half_open":
            if self._probing + self._passed >= self._limits.probes:
                return None
            self._probing += 1
        return Permit(self._era)

    def succeeded(self, permit: Permit) -> None:
        """The call was answered."""
        if permit != self._era:
            return
        if self._state == "closed":
            self._count(0)
            return
        self._probing -= 1
        self._passed += 1
        if self._passed >= self._limits.probes:
            self.move("recovered")

    def failed(self, permit: Permit) -> None:
        """The call failed, and not by its own fault."""
        if permit != self._era:
            return
        if self._state == "half_open":
            self.move("relapsed")
            return
        self._count(1)
        calls, failures = self.counts
        limits = self._limits
        if calls >= limits.minimum_calls and failures >= limits.failure_rate * calls:
            self.move("tripped")

    def dropped(self, permit: Permit) -> None:
        """The call ended without telling anything about the provider, as when its client left."""
        if permit == self._era and self._state == "half_open":
            self._probing -= 1

    def move(self, happening: Happening) -> None:
        """Makes the table's move. Raises IllegalMove if there is none."""
        after = MOVES.get((self._state, happening))
        if after is None:
            raise IllegalMove(f"A breaker that is {self._state} cannot be {happening}.")
        self._state = after
        self._enter()

    def _enter(self) -> None:
        self._era += 1
        self._probing = self._passed = 0
        self._slots: deque[list[int]] = deque()
        if self._state == "open":
            self._until = self._clock() + self._limits.cool_down

    def _count(self, failures: int) -> None:
        slot = self._slot()
        if not self._slots or self._slots[-1][0] != slot:
            self._forget(slot)
            self._slots.append([slot, 0, 0])
        self._slots[-1][1] += 1
        self._slots[-1][2] += failures

    def _slot(self) -> int:
        return int(self._clock() * SLOTS / self._limits.window_seconds)

    def _forget(self, slot: int) -> None:
        while self._slots and self._slots[0][0] <= slot - SLOTS:
            self._slots.popleft()
