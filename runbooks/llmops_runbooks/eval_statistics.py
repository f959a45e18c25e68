"""The statistics of evaluations: pure functions, the same result every time.

Shares have Wilson's interval, means the percentile bootstrap's. Two runs over the same questions
are compared by pair: a difference of shares has Tango's score interval for paired proportions
(Statistics in Medicine 17, 1998), which keeps its level for few flips, even none; a difference of
means has the paired bootstrap's. Agreement is Cohen's kappa and Spearman's rank correlation. All
intervals are of 95 %.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
RESAMPLES = 2_000
SEED = 1
Interval = tuple[float, float]


def wilson(hits: float, n: int) -> Interval:
    """The interval of a share of `hits` in `n`."""
    share, z2 = hits / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def bootstrap(values: Sequence[float], seed: int = SEED) -> Interval:
    """The percentile interval of the mean."""
    if min(values) == max(values):
        return values[0], values[0]
    chance, n = random.Random(seed), len(values)  # noqa: S311 - reproducible resampling
    means = sorted(fmean(chance.choices(values, k=n)) for _ in range(RESAMPLES))
    return _quantile(means, 0.025), _quantile(means, 0.975)


def tango(gained: int, lost: int, n: int) -> Interval:
    """The interval of (gained - lost) / n, where `gained` pairs flipped one way, `lost` the other.

    The bounds are where the score test turns: its statistic falls with the difference tested.
    """
    observed = (gained - lost) / n

    def score(difference: float) -> float:
        return _score(gained, lost, n, difference)

    low = -1.0 if observed <= -1 else _root(lambda d: score(d) - Z, -1.0, observed)
    high = 1.0 if observed >= 1 else _root(lambda d: score(d) + Z, observed, 1.0)
    return low, high


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p-value for as many flips one way as the other."""
    n, less = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, k) for k in range(less + 1)) / 2**n
    return float(min(1.0, 2 * tail))


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa; None if both always say the same word, where it is not defined."""
    n = len(pairs)
    agreed = sum(one == other for one, other in pairs) / n
    ones, others = (sum(each[at] for each in pairs) / n for at in (0, 1))
    chance = ones * others + (1 - ones) * (1 - others)
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The correlation of the ranks, ties sharing theirs; None if one side is constant."""
    one, other = (_ranks([pair[at] for pair in pairs]) for at in (0, 1))
    middle = (len(pairs) + 1) / 2
    spread = math.sqrt(
        sum((rank - middle) ** 2 for rank in one) * sum((rank - middle) ** 2 for rank in other)
    )
    if not spread:
        return None
    return sum((a - middle) * (b - middle) for a, b in zip(one, other, strict=True)) / spread


def resampled(
    statistic: Callable[[Sequence[Any]], float | None], pairs: Sequence[Any], seed: int = SEED
) -> Interval | None:
    """The bootstrap's percentile interval of a statistic over pairs; None if it is hardly ever
    defined."""
    chance, n = random.Random(seed), len(pairs)  # noqa: S311 - reproducible resampling
    drawn = (statistic(chance.choices(pairs, k=n)) for _ in range(RESAMPLES))
    found = sorted(value for value in drawn if value is not None)
    if len(found) < RESAMPLES / 2:
        return None
    return _quantile(found, 0.025), _quantile(found, 0.975)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _score(gained: int, lost: int, n: int, difference: float) -> float:
    """Tango's statistic; the nuisance share is its maximum-likelihood estimate."""
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    nuisance = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * nuisance + difference * (1 - difference))
    above = gained - lost - n * difference
    if variance <= 0:
        return 0.0 if above == 0 else math.copysign(math.inf, above)
    return above / math.sqrt(variance)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is zero, to 1e-9."""
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest ranks, by distance."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for at in range(start, end + 1):
            ranks[order[at]] = (start + end) / 2 + 1
        start = end + 1
    return ranks
