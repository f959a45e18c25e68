"""Evidence that the canary is worse: betting on the label.

The bet. The router gives each request to the canary with the known probability w. If the canary
is no worse than the baseline, knowing how badly a request went does not make it likelier that the
canary served it. So bet, on each outcome y, that it did:

    e1 = r(y) / (w r(y) + 1 - w)   if the canary served it
    e0 =   1  / (w r(y) + 1 - w)   if the baseline did

with r growing with badness. An expert's wealth is the product of all its e.

Why false rollbacks are at most alpha. Let P0 and P1 be the laws of the outcome in the baseline and
in the canary at this moment (they may drift, together, in any way), P1 stochastically no worse
than P0, and let r be fixed before the outcome is seen. e1 grows with r, so with badness, and
w e1 + (1 - w) e0 = 1 for every outcome. Hence

    E[e] = w E1[e1] + (1 - w) E0[e0] = 1 + w (E1[e1] - E0[e1]) <= 1

with equality when P1 = P0. So the product is a non-negative supermartingale that starts at 1,
whatever the laws are and however they drift; by Ville's inequality it ever reaches 1/alpha with
probability at most alpha, however often one looks. A mixture of such products with fixed parts is
one again; so is wealth that sleeps at first and wakes by a rule that looks at no label, and so is
the average over several metrics under any dependence between them.

Minutes. Within a minute of counts every bet is fixed, so the product depends on the counts alone,
not on the order of the requests, and the argument holds request by request.

Which bets. Reaching Wald's limit (his test told the true laws) costs log(1/part) nats more if only
a `part` of the wealth is on the right expert, against log(1/alpha) = 4.6 nats in all: so there are
few experts, each good for a wide range of regressions (`llmops_judge.shapes`). An expert that
learned a monotone r from the labelled past was tried and left out: alone it took 1.7 to 2.8 times
the limit's requests where the best fixed shape takes 1.0 to 1.2. Left out, too, is reinvesting what
exceeds 1/alpha (Fischer and Ramdas 2024): it saved one request in a hundred, and a minute's counts
and several metrics cannot use it.

Several metrics. Their average pays log(number) nats. A joint expert (the product over the metrics
of each request's r) would be valid for single requests, whose label is bet on once. From a
minute's counts it cannot be computed, because they do not say which outcomes belong to one request,
and the product of the metrics' e-values on the same requests has no bounded expectation (if two
metrics always agree, it is the square). What stays valid without knowing the dependence, by
Hoelder's inequality, is their geometric mean, which never exceeds the average. So there is none.

The units. For `errors` the unit is the request, which is what the router randomises. For metrics
of answered requests the label of an outcome has probability w exactly when both arms answer the
same share of their requests; when they do not, `errors` sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_judge import shapes, wealth
from llmops_judge.observations import Counts
from llmops_judge.policy import Metric
from llmops_judge.ranks import Ranks
from llmops_judge.valley import worse_mode

ODDS = ((2.7, 0.0), (6.0, 0.02), (12.0, 0.06))
"""Experts of a share: the odds ratio each bets on, and the share it expects at least."""
SHAPES = (
    shapes.shift(0.15),
    shapes.mode(odds=2.0, by=0.3),
    shapes.shift(0.4),
    shapes.shift(1.0),
    shapes.step(0.15, odds=2.2),
    shapes.step(0.025, odds=2.2),
)
"""Experts of an ordered metric."""
FIRST = {
    "share": (0.60, 0.15, 0.25),
    "one mode": (0.25, 0.20, 0.20, 0.16, 0.03, 0.16),
    "two modes": (0.15, 0.42, 0.15, 0.10, 0.05, 0.13),
}
"""How the wealth staked at the start is divided among them, by what the history looks like."""
THEN = {"share": (0.15, 0.80, 0.05), "ordered": (0.20, 0.35, 0.20, 0.10, 0.05, 0.10)}
"""How the wealth that wakes later is divided."""
SLEEPING = 0.2
"""Part of the wealth that is not staked at first, kept for a release that goes bad late."""
WAKING = 12_000.0
"""Outcomes over which most of it wakes, evenly: an hour of a small service."""
LATER = 0.3
"""Part of the sleeping wealth that is left for later, when it wakes ever more slowly."""

Pair = tuple[Counts, Counts]


def start(metric: Metric, history: Counts) -> tuple[float, list[float]]:
    """Log wealth before the first outcome: asleep, and of each expert."""
    kind = "share"
    if metric.scale != "share":
        modes = worse_mode(Ranks(history, metric.direction))
        kind = "one mode" if modes is None else "two modes"
    return math.log(SLEEPING), [math.log((1 - SLEEPING) * part) for part in FIRST[kind]]


class Bets:
    """The experts' bets on the label of each cell's outcomes, laid on the past alone.

    past: both arms' outcomes so far; history: those before the rollout.
    """

    def __init__(self, metric: Metric, weight: float, past: Counts, history: Counts) -> None:
        self.weight = weight
        if metric.scale == "share":
            self.ratios = shapes.shares(metric, weight, past, history, ODDS)
        else:
            self.ratios = shapes.ordered(metric, past, SHAPES)
        self._known: dict[int, tuple[list[float], list[float]]] = {}
        self.most: dict[int, tuple[float, float]] = {}

    def logs(self, cell: int) -> tuple[list[float], list[float]]:
        """Log factors of an outcome in the cell: per expert, (the baseline's, the canary's)."""
        known = self._known.get(cell)
        if known is None:
            ratios = self.ratios(cell)
            lost = [-math.log(self.weight * r + 1 - self.weight) for r in ratios]
            won = [math.log(r) + loss for r, loss in zip(ratios, lost, strict=True)]
            known = self._known[cell] = lost, won
        return known

    def rise(self, cell: int) -> tuple[float, float]:
        """The most that one outcome in the cell can add to the log wealth, likewise."""
        most = self.most.get(cell)
        if most is None:
            lost, won = self.logs(cell)
            most = self.most[cell] = max(0.0, *lost), max(0.0, *won)
        return most

    def after(self, staked: Sequence[float], seen: Pair) -> list[float]:
        """The experts' log wealth after the outcomes seen by (baseline, canary)."""
        logs = list(staked)
        for arm, counts in enumerate(seen):
            for cell in sorted(counts):
                count = counts[cell]
                logs = [
                    log + count * factor
                    for log, factor in zip(logs, self.logs(cell)[arm], strict=True)
                ]
        return logs


def wake(
    metric: Metric, asleep: float, staked: Sequence[float], before: float, count: float
) -> tuple[float, list[float]]:
    """Stake the part of the sleeping wealth that is due after `count` more outcomes."""
    stays = _asleep(before + count) / _asleep(before)
    if stays >= 1:
        return asleep, list(staked)
    due = asleep + math.log1p(-stays)
    parts = THEN["share" if metric.scale == "share" else "ordered"]
    added = (due + math.log(part) for part in parts)
    woken = [wealth.total((log, new)) for log, new in zip(staked, added, strict=True)]
    return asleep + math.log(stays), woken


def _asleep(outcomes: float) -> float:
    """The part of the sleeping wealth that still sleeps after so many outcomes."""
    if outcomes < WAKING:
        return 1 - (1 - LATER) * outcomes / WAKING
    return LATER * WAKING / outcomes
