"""Are both arms far above their history? Then something they share is down, and no promotion says
anything about the release.

Of each gating share or ratio metric and of each arm the recent past is kept as counts that lose
half of their weight every HALF_LIFE minutes: their number W, and the sum and the sum of squares of
the values (a share's values are 1 for a bad outcome). The guard fires when in *both* arms the lower
end of the recent figure lies beyond `outage_factor` times its history, and for a share two points
above its history as well. The lower ends are Wilson's (1927) for a share and the normal law's for a
mean, Z standard errors down. W outcomes of weights up to 1 have at least the information of W
outcomes, so these ends are on the safe side.

It is a guard, not a test with an error rate of its own: it only withholds promotions while it
lasts. The bets on the label stay valid, because both arms share the outage. Without a history, or
with one of fewer than FEWEST outcomes, there is no such guard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from llmops_judge.intervals import mean, wilson
from llmops_judge.observations import ARMS, NONE, Counts, Minute, size
from llmops_judge.policy import Metric, Policy
from llmops_judge.scales import middle

HALF_LIFE = 3.0
"""Minutes."""
POINTS = 0.02
"""How far above its history a share must be, at least."""
Z = 2.326
"""One-sided 99 %."""
FEWEST = 50
"""Outcomes that a history must have."""

Recent = list[float]
"""Of one arm: weighted outcomes, the sum of their values, the sum of the squares."""


@dataclass(frozen=True)
class Outage:
    """A metric that is far above its history in both arms; figures in the metric's unit."""

    metric: str
    history: float
    baseline: float
    canary: float


def watched(policy: Policy) -> tuple[Metric, ...]:
    """The metrics that can show an outage: gating, and counted as a share or by factors."""
    return tuple(metric for metric in policy.deciding if metric.scale != "unit")


def start(policy: Policy) -> dict[str, list[Recent]]:
    """Metric -> the recent past of the baseline and of the canary: nothing yet."""
    return {metric.name: [[0.0, 0.0, 0.0] for _ in ARMS] for metric in watched(policy)}


def after(
    policy: Policy, before: Mapping[str, list[Recent]], minute: Minute
) -> dict[str, list[Recent]]:
    """The recent past after one more minute."""
    fade = 0.5 ** (1 / HALF_LIFE)
    return {
        metric.name: [
            _plus(recent, fade, _sums(metric, sample.counts.get(metric.name, NONE)))
            for recent, sample in zip(before[metric.name], minute, strict=True)
        ]
        for metric in watched(policy)
    }


def found(metric: Metric, recent: list[Recent], history: Counts, factor: float) -> Outage | None:
    """The outage that one metric shows now, if it shows one."""
    if size(history) < FEWEST or min(arm[0] for arm in recent) <= 0:
        return None
    usual = _usual(metric, history)
    limit = factor * usual
    if metric.scale == "share":
        limit = max(limit, usual + POINTS)
    if any(_surely(metric, arm) <= limit for arm in recent):
        return None
    baseline, canary = (arm[1] / arm[0] for arm in recent)
    return Outage(metric.name, usual, baseline, canary)


def _usual(metric: Metric, history: Counts) -> float:
    if metric.scale == "share":
        return history.get(_bad_cell(metric), 0) / size(history)
    return mean(metric.scale, history)[0]


def _surely(metric: Metric, arm: Recent) -> float:
    """What the arm's recent figure exceeds at 99 %."""
    n, total, squares = arm
    if metric.scale == "share":
        return wilson(total, n, Z)[0]
    at = total / n
    variance = max(0.0, squares / n - at * at) + (at / 10) ** 2
    return at - Z * math.sqrt(variance / n)


def _sums(metric: Metric, counts: Counts) -> Recent:
    if metric.scale == "share":
        bad = counts.get(_bad_cell(metric), 0)
        return [size(counts), bad, bad]
    values = [(middle(metric.scale, cell), count) for cell, count in counts.items()]
    return [
        size(counts),
        sum(count * value for value, count in values),
        sum(count * value * value for value, count in values),
    ]


def _bad_cell(metric: Metric) -> int:
    return int(metric.direction == "lower")


def _plus(recent: Recent, fade: float, new: Recent) -> Recent:
    return [float(f"{old * fade + more:.7g}") for old, more in zip(recent, new, strict=True)]
