"""The rules a rollout is judged by: error rates of the judge itself, limits and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["binary"]
Direction = Literal["lower", "higher"]
Mode = Literal["observe", "rollback"]
Action = Literal["rollback", "promote"]


class PolicyError(ValueError):
    """The policy says something impossible; the message names the key and what is allowed."""


def _check(fine: bool, key: str, value: object, allowed: str) -> None:
    if not fine:
        raise PolicyError(f"The judge's policy: {key} is {value!r}, but it must be {allowed}.")


@dataclass(frozen=True)
class Metric:
    """One metric of the policy.

    name: what the observations call it.
    margin: how much worse a canary may be and still be promoted, as an absolute difference of
        the bad outcomes' share (0.03: three bad outcomes more in a hundred).
    kind: `binary`, an outcome is good or bad.
    direction: which outcome is good: with `lower`, a 1 is bad; with `higher`, a 0 is bad.
    mode: `rollback` metrics decide; `observe` metrics are reported and decide nothing.
    """

    name: str
    margin: float
    kind: Kind = "binary"
    direction: Direction = "lower"
    mode: Mode = "rollback"

    def __post_init__(self) -> None:
        _check(0 < self.margin < 1, f"margin of {self.name}", self.margin, "between 0 and 1")
        _check(self.kind == "binary", f"kind of {self.name}", self.kind, "binary")
        _check(
            self.direction in ("lower", "higher"),
            f"direction of {self.name}",
            self.direction,
            "lower or higher",
        )
        _check(
            self.mode in ("observe", "rollback"),
            f"mode of {self.name}",
            self.mode,
            "observe or rollback",
        )

    def is_bad(self, outcome: float) -> bool:
        """Whether one request's outcome, 0 or 1, is the bad one."""
        return bool(outcome) == (self.direction == "lower")


DEFAULT_METRICS = (Metric("errors", margin=0.03), Metric("quality", margin=0.10))


@dataclass(frozen=True)
class Policy:
    """How sure the judge must be, and how long it may take.

    alpha: the largest share of harmless canaries that may be rolled back.
    beta: the largest share of canaries, worse by a margin, that may be promoted.
    minimum_requests: per arm, before anything is decided.
    maximum_minutes: after which an undecided rollout is inconclusive.
    inconclusive: what the gate does with an inconclusive rollout.
    """

    alpha: float = 0.01
    beta: float = 0.05
    minimum_requests: int = 50
    maximum_minutes: float = 60
    metrics: tuple[Metric, ...] = DEFAULT_METRICS
    inconclusive: Action = "rollback"

    def __post_init__(self) -> None:
        for key in ("alpha", "beta"):
            _check(0 < getattr(self, key) < 1, key, getattr(self, key), "between 0 and 1")
        for key in ("minimum_requests", "maximum_minutes"):
            _check(getattr(self, key) > 0, key, getattr(self, key), "above 0")
        _check(
            self.inconclusive in ("rollback", "promote"),
            "inconclusive",
            self.inconclusive,
            "rollback or promote",
        )
        names = [metric.name for metric in self.metrics]
        _check(len(set(names)) == len(names), "metrics", names, "one of each name")
        _check(bool(self.deciding), "metrics", names, "such that one has the mode rollback")

    @property
    def deciding(self) -> tuple[Metric, ...]:
        """The metrics that can roll back and that must be proved harmless to promote."""
        return tuple(metric for metric in self.metrics if metric.mode == "rollback")

    @classmethod
    def from_settings(cls, table: Mapping[str, Any]) -> Policy:
        """The policy of a settings table (`alpha`, `error_margin`, ...); numbers may be text.

        Raises PolicyError, one sentence, for a value that cannot be used.
        """
        default = cls()
        try:
            return cls(
                alpha=float(table.get("alpha", default.alpha)),
                beta=float(table.get("beta", default.beta)),
                minimum_requests=int(table.get("minimum_requests", default.minimum_requests)),
                maximum_minutes=float(table.get("maximum_minutes", default.maximum_minutes)),
                metrics=(
                    Metric("errors", margin=float(table.get("error_margin", 0.03))),
                    Metric("quality", margin=float(table.get("quality_margin", 0.10))),
                ),
                inconclusive=table.get("inconclusive", default.inconclusive),
            )
        except (TypeError, ValueError) as error:
            if isinstance(error, PolicyError):
                raise
            raise PolicyError(
                f"The judge's policy holds a value that is not a number: {error}."
            ) from error
