"""What the judge says: a decision, its reason with both numbers, and the evidence behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Decision = Literal["promote", "rollback", "wait", "inconclusive"]


@dataclass(frozen=True)
class Evidence:
    """An e-value and the bound at which it decides."""

    value: float
    bound: float


@dataclass(frozen=True)
class ArmFigures:
    """Sample size and share of bad outcomes (0 to 1; None: nothing was seen) of one arm."""

    n: int
    value: float | None


@dataclass(frozen=True)
class MetricVerdict:
    """One metric: what both arms showed, the evidence each way, and what is still needed.

    needs_requests: about how many more requests of both arms until this metric decides, at the
        rates seen so far; None when it has decided, or when it does not move towards a decision.
    needs_minutes: the same in minutes at the traffic seen so far.
    """

    metric: str
    decision: Decision
    baseline: ArmFigures
    canary: ArmFigures
    against: Evidence
    for_: Evidence
    needs_requests: int | None
    needs_minutes: float | None

    def to_json(self) -> dict[str, Any]:
        """The JSON value; `for_` is called `for` there."""
        table = asdict(self)
        return {key.rstrip("_"): value for key, value in table.items()}


@dataclass(frozen=True)
class Verdict:
    """The decision on a rollout at one moment.

    family: the average of the deciding metrics' evidence against the canary; it is what is
        compared with 1/alpha, so that the false-rollback rate holds for all metrics together.
    share: the evidence that the canary does not serve the share it was given.
    """

    decision: Decision
    reason: str
    requests: dict[str, int]
    metrics: tuple[MetricVerdict, ...]
    family: Evidence
    share: Evidence

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "decision": self.decision,
            "reason": self.reason,
            "requests": dict(self.requests),
            "metrics": [metric.to_json() for metric in self.metrics],
            "family": asdict(self.family),
            "share": asdict(self.share),
        }
