"""What the judge reads: how many outcomes of each arm fell into which cell, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Arm = Literal["baseline", "canary"]
ARMS: tuple[Arm, Arm] = ("baseline", "canary")

Counts = Mapping[int, float]
"""Cell (see `llmops_judge.scales`) -> how many outcomes; fractions are expected counts."""

NONE: Counts = {}


def size(counts: Counts) -> float:
    """How many outcomes were counted."""
    return sum(counts.values())


def plus(one: Counts, other: Counts) -> dict[int, float]:
    """Both counts together."""
    both = dict(one)
    for cell, count in other.items():
        both[cell] = both.get(cell, 0) + count
    return both


@dataclass(frozen=True)
class Sample:
    """One arm in one interval.

    requests: how many it served.
    counts: metric -> its outcomes. A metric that could not be read is absent (unknown), which is
        not the same as `{}` (nothing happened): an absent metric is skipped, in both arms.
    labels: kind of label -> label -> requests that carried it, for the contamination guards:
        {"feature": {"faq": 12}, "fingerprint": {"fp_1": 12}, "cache": {"hit": 3, "miss": 9}}.
    """

    requests: int = 0
    counts: Mapping[str, Counts] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON value; cells are text there."""
        return {
            "requests": self.requests,
            "counts": {
                metric: {str(cell): count for cell, count in sorted(counts.items())}
                for metric, counts in self.counts.items()
            },
            "labels": {kind: dict(labels) for kind, labels in self.labels.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sample:
        """The sample of `to_json`'s value."""
        return cls(
            requests=value["requests"],
            counts={
                metric: {int(cell): count for cell, count in counts.items()}
                for metric, counts in value["counts"].items()
            },
            labels=value.get("labels") or {},
        )


@dataclass(frozen=True)
class Minute:
    """Both arms in the same interval."""

    baseline: Sample = Sample()
    canary: Sample = Sample()

    def pair(self, metric: str) -> tuple[Counts, Counts] | None:
        """The counts (baseline, canary); None if an arm with requests did not report the metric."""
        if any(sample.requests and metric not in sample.counts for sample in self):
            return None
        return self.baseline.counts.get(metric, NONE), self.canary.counts.get(metric, NONE)

    def __iter__(self) -> Iterator[Sample]:
        return iter((self.baseline, self.canary))


@dataclass(frozen=True)
class History:
    """What the baseline did before the rollout: the judge's first idea of what is normal.

    requests: how many it served in that time; counts: metric -> its outcomes.
    """

    requests: int = 0
    counts: Mapping[str, Counts] = field(default_factory=dict)


Stored = Sequence[Sequence[float]]
"""Counts as a state keeps them: runs of a cell and the counts of it and of those above it."""


def to_cells(counts: Mapping[str, float] | Stored) -> dict[int, float]:
    """Counts as a state has them, or as a file, with text for cells."""
    if isinstance(counts, Mapping):
        return {int(cell): count for cell, count in counts.items()}
    return {
        int(run[0]) + step: count for run in counts for step, count in enumerate(run[1:]) if count
    }


def to_text(counts: Counts) -> dict[str, float]:
    """Counts as a file has them, cells in order."""
    return {str(cell): counts[cell] for cell in sorted(counts)}


def to_runs(counts: Counts) -> list[list[float]]:
    """Counts as a state keeps them; a gap of more than two cells begins a new run."""
    runs: list[list[float]] = []
    for cell in sorted(cell for cell, count in counts.items() if count):
        gap = cell - (runs[-1][0] + len(runs[-1]) - 1) if runs else math.inf
        if gap <= 2:
            runs[-1].extend([0] * int(gap))
            runs[-1].append(counts[cell])
        else:
            runs.append([cell, counts[cell]])
    return runs
