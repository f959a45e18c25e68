"""What the judge says: a decision, its reason with both numbers, and the evidence behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from llmops_judge.policy import Mode

Decision = Literal["promote", "rollback", "wait", "inconclusive"]
GuardName = Literal[
    "minimum", "sample_ratio", "missing_data", "shared_outage", "contamination", "limit"
]


@dataclass(frozen=True)
class Evidence:
    """An e-value and the bound at which it decides."""

    value: float
    bound: float


@dataclass(frozen=True)
class ArmFigures:
    """What one arm showed of a metric.

    n: outcomes counted.
    value: the metric's statistic (share 0 to 1, mean or p95 in its unit); None: nothing was seen.
    low, high: its 95 % interval, for the eye (nothing is decided by it).
    """

    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MetricVerdict:
    """One metric: what both arms showed, the evidence each way, and what is still needed.

    decision: what this metric alone says: `rollback` once its evidence is past the bound whatever
        its mode, `promote` once it is proved harmless, else `wait` or `inconclusive`.
    for_: the evidence that it is harmless: that of the margin, or of the tail if that is less.
    needs_requests: about how many more requests of both arms until this metric decides, at the
        rates seen so far; None when it has decided, or when it does not move towards a decision.
    needs_minutes: the same in minutes at the traffic seen so far.
    """

    metric: str
    mode: Mode
    statistic: str
    unit: str
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
class Guard:
    """A guard that fired: it explains why the verdict is not what the evidence alone would say.

    text: one sentence with the numbers. metric: the metric it is about, if it is about one.
    """

    guard: GuardName
    text: str
    metric: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The decision on a rollout at one moment.

    reason: one sentence with both numbers.
    family: the evidence of all deciding metrics together against the canary; it is what is
        compared with 1/alpha, so that the false-rollback rate holds for all metrics together.
    share: the evidence that the canary does not serve the share it was given.
    guards: those that fired; warnings: one sentence for each `warn` metric past its bound.
    hold: the decision is `inconclusive` because a person has to look (a `pause` metric), whatever
        the policy does with other inconclusive rollouts.
    """

    decision: Decision
    reason: str
    requests: dict[str, int]
    metrics: tuple[MetricVerdict, ...]
    family: Evidence
    share: Evidence
    guards: tuple[Guard, ...] = ()
    warnings: tuple[str, ...] = ()
    hold: bool = False

    def to_json(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "decision": self.decision,
            "reason": self.reason,
            "requests": dict(self.requests),
            "metrics": [metric.to_json() for metric in self.metrics],
            "family": asdict(self.family),
            "share": asdict(self.share),
            "guards": [asdict(guard) for guard in self.guards],
            "warnings": list(self.warnings),
            "hold": self.hold,
        }
