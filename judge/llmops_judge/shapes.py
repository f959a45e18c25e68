"""How much likelier an outcome is the canary's than the baseline's: the ratios r of the experts.

Every r grows with badness; that is all the guarantee needs (`llmops_judge.against`). Which r pays
is a guess about the regression, laid on past data alone.

- *odds* k of a share: r = p1/p0 on a bad outcome, (1 - p1)/(1 - p0) on a good one. p0 is the past's
  share, p1 the one its odds times k make, but at least the expert's *least* share: twelve times
  next to nothing is still next to nothing, and a service that never failed may fail outright.
  If the past is worse than the history (an outage that hits both arms), the outage is taken to
  fail requests of both arms alike and the release to fail a part of the others: p = o + (1 - o)q
  with q0 the history's share and q1 its odds times k. Without this an expert of the usual odds
  loses all it has in an outage.
- *shift* d of an ordered metric: r = exp(z d - d^2/2) on the normal score z of the outcome's rank
  in the past: all outcomes are somewhat worse.
- *step* on the worst share of the past, whose odds rise by k: a tail becomes heavier.
- *mode*: a step on the worse of two modes (`llmops_judge.valley`): a share of the outcomes moves
  from the better to the worse. While the past has one mode this expert bets on a shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from llmops_judge.observations import Counts, size
from llmops_judge.policy import Metric
from llmops_judge.ranks import Ranks, score
from llmops_judge.valley import worse_mode

Ratios = Callable[[int], list[float]]
"""Cell -> r of each expert."""
Rule = Callable[[float, float, float], float]
"""Shares of better and of equal past outcomes, normal score -> r."""
Expert = Callable[[float | None], Rule]
"""The share of the worse mode, if there is one -> the rule that is bet by."""

GUESS, PRIOR = 0.03, 10.0
"""A share assumed before anything was seen, and how many outcomes it counts as."""


def shares(
    metric: Metric,
    weight: float,
    past: Counts,
    history: Counts,
    odds: tuple[tuple[float, float], ...],
) -> Ratios:
    """r of the experts of a share, each an odds ratio and its least share.

    history: what the share was before the rollout, or nothing.
    """
    bad = int(metric.direction == "lower")
    now = _share(past, bad)
    usual = min(now, _share(history, bad)) if history else now
    pairs = [
        _failing(now, usual, max(each, _odds(least) / _odds(usual)), weight) for each, least in odds
    ]
    good, worse = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return lambda cell: worse if cell == bad else good


def ordered(metric: Metric, past: Counts, experts: tuple[Expert, ...]) -> Ratios:
    """r of the experts of an ordered metric."""
    ranks = Ranks(past, metric.direction)
    mode = worse_mode(ranks)
    rules = [expert(mode) for expert in experts]

    def ratios(cell: int) -> list[float]:
        better, own = ranks.shares(cell)
        z = score(better + own / 2)
        return [rule(better, own, z) for rule in rules]

    return ratios


def shift(by: float) -> Expert:
    """All of it moves by so many standard deviations."""
    return lambda _: lambda better, own, z: math.exp(z * by - by * by / 2)


def step(share: float, odds: float) -> Expert:
    """The odds of the worst share of it rise by a factor."""
    low, high = _step(share, odds)

    def rule(better: float, own: float, z: float) -> float:
        inside = min(1.0, max(0.0, (better + own - (1 - share)) / own))
        return low + inside * (high - low)

    return lambda _: rule


def mode(odds: float, by: float) -> Expert:
    """The odds of its worse mode rise by a factor; while it has one mode, all of it shifts."""
    return lambda worse: (shift(by) if worse is None else step(worse, odds))(worse)


def _step(share: float, odds: float) -> tuple[float, float]:
    """r outside and inside a share whose odds rise by a factor; its mean is 1."""
    low = 1 / (1 - share + odds * share)
    return low, odds * low


def _failing(now: float, usual: float, odds: float, weight: float) -> tuple[float, float]:
    """r of a good and of a bad outcome; `now` may be above `usual` because both arms fail."""
    outage = (now - usual) / (1 - usual)
    q0 = usual if outage else _without(usual, odds, weight)
    q1 = odds * q0 / (1 - q0 + odds * q0)
    p0, p1 = (outage + (1 - outage) * q for q in (q0, q1))
    return (1 - p1) / (1 - p0), p1 / p0


def _odds(share: float) -> float:
    return share / (1 - share)


def _without(pooled: float, odds: float, weight: float) -> float:
    """The baseline's share, if the canary's odds are higher and `pooled` holds both arms."""
    return pooled / (1 - weight + weight * odds / (1 - pooled + odds * pooled))


def _share(counts: Counts, bad: int) -> float:
    return (counts.get(bad, 0) + PRIOR * GUESS) / (size(counts) + PRIOR)
