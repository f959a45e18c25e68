"""Named ways in which a release is worse, as changes of a service's own histograms.

A change turns what the baseline does (how many outcomes fell into which cell) into what a canary
with that regression would do; values that move by part of a cell are split over the two cells that
they would reach. Also: histograms of a service of which only a few figures are stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from llmops_judge.harmless import threshold
from llmops_judge.intervals import mean
from llmops_judge.observations import Counts, History, size
from llmops_judge.policy import Metric, Policy
from llmops_judge.scales import (
    LARGEST,
    PER_OCTAVE,
    SMALLEST,
    STEPS,
    Scale,
    bounds,
    cell,
)

Kind = Literal["times", "plus", "slower", "tail", "lower", "unsupported"]

SLOW_TAIL = 0.02
"""What `tail` calls the slow tail: the slowest fiftieth of the requests."""
ALMOST = 0.02
"""By this part of the margin a canary must be inside it; means of cells are no sharper."""
UNSUPPORTED_UP_TO = 0.4
"""An answer that its passages do not support scores between 0 and this."""


@dataclass(frozen=True)
class Effect:
    """What happens to one metric.

    times: the share of bad outcomes, so many times. plus: so many points more, as a share.
    slower: every value times so much. tail: so many times the requests in the slow tail.
    lower: every value less by so much. unsupported: such a share of the answers becomes bad.
    """

    metric: str
    kind: Kind
    amount: float

    def on(self, metric: Metric, counts: Counts) -> Counts:
        """The canary's outcomes, for these of the baseline."""
        return _EFFECTS[self.kind](metric, counts, self.amount)


@dataclass(frozen=True)
class Change:
    """A canary against the baseline; no effects: they are identical.

    name: short, for a table. words: what it is, for a reader. margin: the metric by whose margin
    it is worse, and which therefore must not be promoted; "": none.
    """

    name: str
    words: str
    effects: tuple[Effect, ...] = ()
    margin: str = ""

    def metrics(self) -> frozenset[str]:
        """The metrics it shows in."""
        return frozenset(effect.metric for effect in self.effects)

    def canary(self, policy: Policy, history: History) -> Mapping[str, Counts]:
        """The canary's outcomes if the baseline does what the history says."""
        counts = dict(history.counts)
        for effect in self.effects:
            if effect.metric in counts:
                metric = policy.metric(effect.metric)
                counts[effect.metric] = effect.on(metric, counts[effect.metric])
        return counts


IDENTICAL = Change("identical", "no change at all")

NAMED = (
    Change("errors x3", "three times the errors", (Effect("errors", "times", 3),)),
    Change("errors +2 points", "2 in 100 more fail", (Effect("errors", "plus", 0.02),)),
    Change("latency +25 %", "every request a quarter slower", (Effect("latency", "slower", 1.25),)),
    Change("latency x2", "every request twice as slow", (Effect("latency", "slower", 2),)),
    Change(
        "slow tail x3",
        "three times the requests in the slowest 2 %",
        (Effect("latency", "tail", 3),),
    ),
    Change(
        "quality -0.05", "every answer supported 0.05 less", (Effect("quality", "lower", 0.05),)
    ),
    Change(
        "bad answers +8 %",
        "8 in 100 answers lose their support",
        (Effect("quality", "unsupported", 0.08),),
    ),
    Change("cost +20 %", "every answer a fifth dearer", (Effect("cost", "slower", 1.2),)),
    Change(
        "tokens x3",
        "three times the tokens, and their cost",
        (Effect("tokens", "slower", 3), Effect("cost", "slower", 3)),
    ),
)
"""The regressions that `llmops judge simulate` reports."""


def at_the_margin(policy: Policy) -> Iterator[Change]:
    """For each gating metric, the canary that is worse by just its margin."""
    for metric in policy.deciding:
        if metric.scale == "ratio":
            effect = Effect(metric.name, "slower", metric.margin)
        elif metric.scale == "share":
            effect = Effect(metric.name, "plus", metric.margin)
        else:
            effect = Effect(metric.name, "lower", metric.margin)
        name = f"{metric.name} at margin"
        yield Change(name, f"{metric.name} worse by its margin", (effect,), metric.name)


def within_margins(policy: Policy, history: History, change: Change) -> bool:
    """Whether the policy puts up with it: no gating metric is worse by its margin, on average.

    A canary within the margins may be rolled back, because it is worse, and may be promoted.
    """
    canary = change.canary(policy, history)
    return all(
        _within(metric, history.counts[metric.name], canary[metric.name])
        for metric in policy.deciding
        if history.counts.get(metric.name)
    )


def _within(metric: Metric, before: Counts, after: Counts) -> bool:
    sign = 1 if metric.direction == "lower" else -1
    old, new = (mean(metric.scale, counts)[0] for counts in (before, after))
    if metric.scale == "ratio":
        inside = old <= 0 or (new / old) ** sign < metric.margin * (1 - ALMOST)
    else:
        inside = sign * (new - old) < metric.margin * (1 - ALMOST)
    at = threshold(metric, before)
    if metric.tail_margin is None or at is None:
        return inside
    beyond = [
        sum(n for cell, n in counts.items() if sign * cell > sign * at) / size(counts)
        for counts in (before, after)
    ]
    return inside and beyond[1] - beyond[0] < metric.tail_margin * (1 - ALMOST)


def _times(metric: Metric, counts: Counts, amount: float) -> Counts:
    return _share(metric, counts, lambda bad: bad * amount)


def _plus(metric: Metric, counts: Counts, amount: float) -> Counts:
    return _share(metric, counts, lambda bad: bad + amount)


def _share(metric: Metric, counts: Counts, change: Callable[[float], float]) -> Counts:
    total = size(counts)
    worse = 1 if metric.direction == "lower" else 0
    bad = min(1.0, change(counts.get(worse, 0) / total)) if total else 0.0
    return {worse: total * bad, 1 - worse: total * (1 - bad)}


def _slower(metric: Metric, counts: Counts, factor: float) -> Counts:
    steps = PER_OCTAVE * math.log2(factor)
    return _moved(counts, steps if metric.direction == "lower" else -steps, SMALLEST, LARGEST)


def _lower(metric: Metric, counts: Counts, amount: float) -> Counts:
    steps = amount * STEPS
    return _moved(counts, -steps if metric.direction == "higher" else steps, 0, STEPS)


def _moved(counts: Counts, steps: float, lowest: int, highest: int) -> Counts:
    """Every value so many cells up; what leaves the scale stays in its last cell."""
    whole = math.floor(steps)
    part = steps - whole
    moved: dict[int, float] = {}
    for at, count in counts.items():
        for target, share in ((at + whole, 1 - part), (at + whole + 1, part)):
            if share > 1e-12:
                inside = min(highest, max(lowest, target))
                moved[inside] = moved.get(inside, 0) + count * share
    return moved


def _tail(metric: Metric, counts: Counts, factor: float) -> Counts:
    """The worst `SLOW_TAIL` of the outcomes become so many times as many, the others fewer."""
    total = size(counts)
    left = SLOW_TAIL * total
    slow: dict[int, float] = {}
    for at in sorted(counts, reverse=metric.direction == "lower"):
        slow[at] = min(left, counts[at])
        left -= slow[at]
    rest = (1 - factor * SLOW_TAIL) / (1 - SLOW_TAIL)
    return {
        at: factor * slow[at] + rest * (counts[at] - slow[at]) for at in counts if counts[at] > 0
    }


def _unsupported(metric: Metric, counts: Counts, share: float) -> Counts:
    total = size(counts)
    bad = range(1, cell("unit", UNSUPPORTED_UP_TO) + 1)
    changed = {at: count * (1 - share) for at, count in counts.items()}
    for at in bad:
        changed[at] = changed.get(at, 0) + total * share / len(bad)
    return changed


_EFFECTS: Mapping[Kind, Callable[[Metric, Counts, float], Counts]] = {
    "times": _times,
    "plus": _plus,
    "slower": _slower,
    "tail": _tail,
    "lower": _lower,
    "unsupported": _unsupported,
}


@dataclass(frozen=True)
class Stated:
    """A service of which only averages are said; what is not said is assumed.

    errors: share of requests. latency_ms, first_token_ms, tokens: per answer, on average. cost_usd:
    per answer, on average. quality: 0 to 1, on average.
    """

    errors: float = 0.01
    latency_ms: float = 1200.0
    first_token_ms: float = 400.0
    cost_usd: float = 0.004
    tokens: float = 1500.0
    quality: float = 0.85
    requests: int = 10_000
    spread: Mapping[str, float] = field(
        default_factory=lambda: {"latency": 0.7, "first_token": 0.7, "cost": 1.0, "tokens": 0.8}
    )

    def history(self) -> History:
        """Histograms with these averages: log-normal ones, and a beta law for the quality."""
        answered = self.requests * (1 - self.errors)
        means = {
            "latency": (self.latency_ms, self.requests),
            "first_token": (self.first_token_ms, answered),
            "cost": (self.cost_usd * 1e6, answered),
            "tokens": (self.tokens, answered),
        }
        counts: dict[str, Counts] = {
            name: _log_normal(mean, self.spread[name], n) for name, (mean, n) in means.items()
        }
        counts["errors"] = {0: answered, 1: self.requests - answered}
        counts["quality"] = _beta(self.quality, answered)
        return History(self.requests, counts)


def _log_normal(mean: float, sigma: float, n: float) -> Counts:
    law = NormalDist(math.log(mean) - sigma * sigma / 2, sigma)
    return _masses("ratio", range(SMALLEST + 1, LARGEST), lambda x: law.cdf(math.log(x)), n)


def _masses(scale: Scale, cells: range, below: Callable[[float], float], n: float) -> Counts:
    masses = {}
    for at in cells:
        low, high = bounds(scale, at)
        masses[at] = below(high) - below(low)
    known = {at: mass for at, mass in masses.items() if mass > 1e-6}
    return {at: n * mass / sum(known.values()) for at, mass in known.items()}


def _beta(mean: float, n: float, strength: float = 8.0) -> Counts:
    """A beta law with this mean; the strength is the sum of its two parameters."""
    a, b = strength * mean, strength * (1 - mean)
    fine = 20
    masses = dict.fromkeys(range(1, STEPS + 1), 0.0)
    for step in range(STEPS * fine):
        x = (step + 0.5) / (STEPS * fine)
        masses[step // fine + 1] += x ** (a - 1) * (1 - x) ** (b - 1)
    total = sum(masses.values())
    return {at: n * mass / total for at, mass in masses.items() if mass > 1e-6 * total}
