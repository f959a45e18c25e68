"""Evidence that the canary is not worse than the margin allows.

The claim that is bet against is about the means of a value v, mu1 of the canary and mu0 of the
baseline: mu1 - mu0 >= m, where

    share        v is 1 for a bad outcome
    unit         v is how bad the outcome is, 0 to 1
    ratio        v is the logarithm of the outcome, and m that of the margin: the claim is about the
                 ratio of geometric means. If higher is better, v is minus the logarithm.
    tail         v is 1 for an outcome worse than the baseline's worst twentieth

Weighted by how likely the router was to send the request there, one outcome

    X =  (v - c) / w         if the canary served it
    X = -(v - c) / (1 - w)   if the baseline did

has the mean mu1 - mu0 for any centre c that was fixed before. Under the claim that is at least m,
so for any stake l >= 0 fixed before, 1 + l (m - X) has an expectation of at most 1, and as long as
l (max X - m) < 1 it is positive. The product is a supermartingale under the claim, however both
means drift, and ever reaches 1/beta with probability at most beta (Ville). The weighting is Horvitz
and Thompson's (1952), the bet Waudby-Smith and Ramdas's (2024). A promotion needs 1/beta on *every*
gating metric, so a canary that is worse by the margin on one of them is promoted with probability
at most beta.

Values are those of the cells, their middles. On a ratio scale, which has no ends, the baseline's
outcomes count as no less and no more than the past's best and worst hundredth, and the canary's as
no less and no more than the margin times these; both ends are fixed once. A canary that is worse by
the margin throughout fulfils the claim with these ends too. A rare explosion beyond them is for the
tail's proof and for the evidence against (`llmops_judge.against`) to find.

Centre and stake come from the pooled past alone: the stake is the one that grows fastest if the
arms are alike; a smaller one stays in play.

The claim is about means, not about "every outcome is worse by the margin". That would be refuted
sooner (quality by 0.05: some 120 requests instead of some 600), but also by a canary of which a
share of the answers became useless while the rest stayed as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llmops_judge.observations import Counts, size
from llmops_judge.policy import Metric
from llmops_judge.ranks import Ranks
from llmops_judge.scales import PER_OCTAVE, middle

STAKES = ((1.0, 0.8), (0.4, 0.2))
"""Fractions of the best stake, and how the wealth is divided among them."""
GRID = 12
"""The best stake is looked for among so many parts of the largest."""
SAFE = 0.97
"""The largest stake, relative to the one at which a factor would be zero."""
GUESS, PRIOR = 0.05, 20.0
"""A share assumed before anything was seen, and how many outcomes it counts as."""
TAIL, EXTREME = 0.05, 0.01
"""The share of the past that the tail proof is about; and the ones beyond either end."""
ENOUGH = 100.0
"""Past outcomes from which ends and thresholds are taken, and values bet on."""

Pair = tuple[Counts, Counts]


Ends = tuple[int, int]
"""The lowest and the highest cell that count, on a ratio scale."""
Value = Callable[[int], float]


@dataclass(frozen=True)
class Claim:
    """What is bet against: the canary's mean is higher by the margin, at least.

    baseline, canary: what an outcome in a cell counts as.
    law: how often an outcome is expected that counts as so much in the baseline and in the canary.
    low, high: the least the baseline's and the most the canary's outcomes can count as.
    """

    margin: float
    baseline: Value
    canary: Value
    law: Sequence[tuple[float, float, float]]
    low: float
    high: float


def start() -> list[float]:
    """Log wealth of each stake before the first outcome."""
    return [math.log(part) for _, part in STAKES]


def worst(metric: Metric, past: Counts, share: float) -> int | None:
    """The cell beyond which at most a share of the past lies; None while there is too little."""
    if size(past) < ENOUGH:
        return None
    ranks = Ranks(past, metric.direction)
    beyond = ranks.size
    for badness, count in ranks.order:
        beyond -= count
        if beyond <= share * ranks.size:
            return ranks.sign * badness
    return None


def threshold(metric: Metric, past: Counts) -> int | None:
    """Where the tail begins, if the metric's tail is asked for."""
    return None if metric.tail_margin is None else worst(metric, past, TAIL)


def ends(metric: Metric, past: Counts) -> Ends | None:
    """The cells of the past's best and worst hundredth; None: too little past, or not asked for."""
    low = worst(replace(metric, direction="higher"), past, EXTREME)
    high = worst(replace(metric, direction="lower"), past, EXTREME)
    return None if metric.scale != "ratio" or low is None or high is None else (low, high)


def margin_claim(metric: Metric, past: Counts, ends: Ends | None) -> Claim | None:
    """Worse by the margin; None: too little is known to bet on it."""
    if metric.scale == "share":
        bad = int(metric.direction == "lower")
        return _share(metric.margin, past, lambda cell: cell == bad)
    if size(past) < ENOUGH:
        return None
    if metric.scale == "unit":
        return _unit(metric, past)
    return None if ends is None else _ratio(metric, past, ends)


def tail_claim(metric: Metric, past: Counts, threshold: int | None) -> Claim | None:
    """More of the outcomes are beyond the threshold, by the tail's margin."""
    if metric.tail_margin is None or threshold is None:
        return None
    sign = 1 if metric.direction == "lower" else -1
    return _share(metric.tail_margin, past, lambda cell: sign * (cell - threshold) > 0)


def after(logs: Sequence[float], claim: Claim | None, weight: float, seen: Pair) -> list[float]:
    """The log wealth of each stake after the outcomes seen by (baseline, canary)."""
    if claim is None:
        return list(logs)
    bets = Stakes(claim, weight)
    gained = [0.0] * len(STAKES)
    for arm, counts in enumerate(seen):
        for cell in sorted(counts):
            for index, factor in enumerate(bets.logs(arm, cell)):
                gained[index] += counts[cell] * factor
    return [log + gain for log, gain in zip(logs, gained, strict=True)]


class Stakes:
    """The stakes against a claim, laid on what is expected."""

    def __init__(self, claim: Claim, weight: float) -> None:
        self.claim = claim
        self.weight = weight
        total = sum(chance for chance, _, _ in claim.law)
        self.centre = sum(chance * value for chance, value, _ in claim.law) / total
        self.largest = SAFE / (max(self.x(0, claim.low), self.x(1, claim.high)) - claim.margin)
        steps = [
            (chance, claim.margin - self.x(0, baseline), claim.margin - self.x(1, canary))
            for chance, baseline, canary in claim.law
        ]
        grid = (self.largest * (step + 1) / GRID for step in range(GRID))
        self.best = max(grid, key=lambda stake: _growth(stake, weight, steps))

    def x(self, arm: int, value: float) -> float:
        """X of an outcome with the value; arm 1 is the canary."""
        away = value - self.centre
        return away / self.weight if arm else -away / (1 - self.weight)

    def logs(self, arm: int, cell: int) -> list[float]:
        """Per stake, the log factor of an outcome in the cell."""
        value = self.claim.canary(cell) if arm else self.claim.baseline(cell)
        gain = self.claim.margin - self.x(arm, value)
        return [math.log(1 + part * self.best * gain) for part, _ in STAKES]


def _growth(stake: float, weight: float, steps: Sequence[tuple[float, float, float]]) -> float:
    """Expected log growth per outcome if the arms are alike."""
    return sum(
        chance
        * ((1 - weight) * math.log(1 + stake * baseline) + weight * math.log(1 + stake * canary))
        for chance, baseline, canary in steps
    )


def _share(margin: float, past: Counts, is_bad: Callable[[int], bool]) -> Claim:
    """The past's share is drawn towards a guess while there is little of it."""
    bad = sum(count for cell, count in past.items() if is_bad(cell)) + PRIOR * GUESS
    law = [(size(past) + PRIOR - bad, 0.0, 0.0), (bad, 1.0, 1.0)]

    def value(cell: int) -> float:
        return float(is_bad(cell))

    return Claim(margin, value, value, law, 0, 1)


def _unit(metric: Metric, past: Counts) -> Claim:
    def value(cell: int) -> float:
        at = middle("unit", cell)
        return at if metric.direction == "lower" else 1 - at

    law = [(count, value(cell), value(cell)) for cell, count in past.items()]
    return Claim(metric.margin, value, value, law, 0, 1)


def _ratio(metric: Metric, past: Counts, ends: Ends) -> Claim:
    """Logarithms in octaves, negative if higher is better, so that higher is worse."""
    sign = 1 if metric.direction == "lower" else -1
    margin = math.log2(metric.margin)
    low, high = sorted(sign * end / PER_OCTAVE for end in ends)

    def baseline(cell: int) -> float:
        return min(high, max(low, sign * cell / PER_OCTAVE))

    def canary(cell: int) -> float:
        return min(high + margin, max(low + margin, sign * cell / PER_OCTAVE))

    law = [(count, baseline(cell), canary(cell)) for cell, count in past.items()]
    return Claim(margin, baseline, canary, law, low, high + margin)
