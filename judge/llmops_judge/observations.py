"""What the judge reads: tallies of good and bad outcomes per arm, of one request or one minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Arm = Literal["baseline", "canary"]


class Tally(NamedTuple):
    """`n` outcomes of which `bad` were bad. Additive; fractions are expected counts."""

    n: float = 0
    bad: float = 0

    def plus(self, other: Tally) -> Tally:
        """Both tallies together."""
        return Tally(self.n + other.n, self.bad + other.bad)

    @property
    def rate(self) -> float | None:
        """Share of bad outcomes, 0 to 1; None when nothing was seen."""
        return self.bad / self.n if self.n else None


class Pair(NamedTuple):
    """One metric's tallies of both arms."""

    baseline: Tally = Tally()
    canary: Tally = Tally()

    def plus(self, other: Pair) -> Pair:
        """Both pairs together, arm by arm."""
        return Pair(self.baseline.plus(other.baseline), self.canary.plus(other.canary))

    @property
    def pooled(self) -> Tally:
        """The outcomes of both arms, labels forgotten."""
        return self.baseline.plus(self.canary)


@dataclass(frozen=True)
class Sample:
    """One arm in one interval.

    A metric that could not be read is absent from `tallies` (unknown), which is not the same as
    `Tally(0, 0)` (nothing happened): an absent metric is skipped, in both arms.
    """

    requests: int = 0
    tallies: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True)
class Minute:
    """Both arms in the same interval."""

    baseline: Sample = Sample()
    canary: Sample = Sample()

    def pair(self, metric: str) -> Pair | None:
        """The metric's tallies, or None if either arm had requests and did not report it."""
        if _unknown(self.baseline, metric) or _unknown(self.canary, metric):
            return None
        empty = Tally()
        return Pair(
            self.baseline.tallies.get(metric, empty), self.canary.tallies.get(metric, empty)
        )


def _unknown(sample: Sample, metric: str) -> bool:
    return sample.requests > 0 and metric not in sample.tallies
