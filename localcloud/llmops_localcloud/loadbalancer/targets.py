"""Which target a request goes to, and what is known of each target.

Round robin over the healthy targets of a group. If none is healthy the group fails open, as AWS
documents for groups with only unhealthy targets; targets whose first check is still running come
last (this order is ours: AWS says nothing about a group with only `initial` targets).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from llmops_localcloud.ports import TargetHealth

from .desired import Address, TargetGroup

ROTATION = (TargetHealth.HEALTHY, TargetHealth.UNHEALTHY, TargetHealth.INITIAL)


@dataclass(eq=False)
class Target:
    """One address in one group. `reason` is AWS's reason code, `passes`/`failures` run in a row."""

    address: Address
    state: TargetHealth = TargetHealth.INITIAL
    reason: str = ""
    description: str = ""
    in_flight: int = 0
    passes: int = 0
    failures: int = 0
    drained_by: float = 0.0
    base_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.base_url = f"http://{self.address[0]}:{self.address[1]}"


class Group:
    """The live side of a target group."""

    def __init__(self, spec: TargetGroup) -> None:
        self.spec = spec
        self.targets: dict[Address, Target] = {}
        self.draining: dict[Address, Target] = {}
        self._rotation: list[Target] = []
        self._cursor = 0

    def apply(self, spec: TargetGroup, drain_until: float) -> None:
        """Take over the registered targets; those left out drain until that (monotonic) time."""
        self.spec = spec
        known = dict(spec.known)
        for address in set(self.targets) - set(spec.targets):
            self._drain(self.targets.pop(address), drain_until)
        for address in spec.targets:
            if address not in self.targets:
                self._add(address, known.get(address))
        for target in self.targets.values():
            self._mark_use(target)
        self.rotate()

    def _add(self, address: Address, known: str | None) -> None:
        returning = self.draining.pop(address, None)
        in_flight = returning.in_flight if returning else 0
        state = TargetHealth(known) if known in ("healthy", "unhealthy") else TargetHealth.INITIAL
        self.targets[address] = Target(address, state=state, in_flight=in_flight)

    def _drain(self, target: Target, until: float) -> None:
        if target.in_flight:
            target.state, target.drained_by = TargetHealth.DRAINING, until
            self.draining[target.address] = target

    def _mark_use(self, target: Target) -> None:
        """A group that no rule names is not checked: its targets are `unused`."""
        used = bool(self.spec.load_balancers)
        if not used:
            target.state, target.passes, target.failures = TargetHealth.UNUSED, 0, 0
        elif target.state is TargetHealth.UNUSED:
            target.state = TargetHealth.INITIAL

    def rotate(self) -> None:
        """Recompute who takes requests; call it after any change of state."""
        everyone = list(self.targets.values())
        for state in ROTATION:
            self._rotation = [t for t in everyone if t.state is state]
            if self._rotation:
                return

    def choose(self, refused: Target | None = None) -> Target | None:
        """The next target, other than one that just refused its connection; None if none."""
        for _ in range(len(self._rotation)):
            self._cursor = (self._cursor + 1) % len(self._rotation)
            if self._rotation[self._cursor] is not refused:
                return self._rotation[self._cursor]
        return None

    def settle(self, now: float) -> bool:
        """Forget targets that have drained; True if any was forgotten."""
        done = [a for a, t in self.draining.items() if not t.in_flight or now >= t.drained_by]
        for address in done:
            del self.draining[address]
        return bool(done)

    def view(self) -> Iterable[Target]:
        """Registered targets, then the draining ones."""
        yield from self.targets.values()
        yield from self.draining.values()


def draw(weights: dict[str, int], uniform: Callable[[], float] = random.random) -> str | None:
    """A target group's ARN with probability proportional to its weight; None if all are 0."""
    total = sum(weights.values())
    if not total:
        return None
    point = uniform() * total
    for arn, weight in weights.items():
        point -= weight
        if point < 0:
            return arn
    return next(arn for arn in reversed(weights) if weights[arn])
