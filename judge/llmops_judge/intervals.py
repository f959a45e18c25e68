"""What each arm showed, with its uncertainty, from the counts alone. For the eye and for hard
limits; no verdict between the arms rests on these intervals.

All intervals are at 95 % for one look. Their sources:

- share: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
- quantile: order statistics. The number of outcomes at or below the quantile q is binomial (n, q),
  so the outcomes of the ranks between its 2.5 % and 97.5 % points enclose q with that probability,
  whatever the law of the outcomes (David and Nagaraja, "Order Statistics", section 7.1). A rank's
  value is interpolated within its cell, on the scale's own terms.
- mean: the central limit theorem, with the middle of each cell for its values and the variance of
  a uniform law within it (Sheppard 1898). On a ratio scale the interval is symmetric in the
  logarithm (delta method), so that it stays above zero.
"""

from __future__ import annotations

import math

from llmops_judge.observations import Counts, size
from llmops_judge.policy import Metric
from llmops_judge.scales import Scale, bounds, middle
from llmops_judge.verdict import ArmFigures

Z = 1.959964
"""The normal law's 97.5 % point."""
TAIL = 0.025
"""What is left out on each side."""
QUANTILE = 0.95
EXACT = 1000
"""Outcomes up to which ranks come from the binomial law itself; above, from its normal limit."""


def statistic(metric: Metric, counts: Counts) -> float | None:
    """The metric's figure (share 0 to 1, mean or p95 in its unit); None if nothing was counted."""
    n = size(counts)
    if n <= 0:
        return None
    if metric.statistic == "share":
        return counts.get(1, 0) / n
    if metric.statistic == "mean":
        return _mean(metric.scale, counts)[0]
    return value_at(metric.scale, counts, QUANTILE * n)


def interval(metric: Metric, counts: Counts) -> ArmFigures:
    """The figure with its 95 % interval; `low` and `high` are None while too little was seen.

    With fewer than 72 outcomes no outcome lies surely above p95: the upper end is then the end of
    the highest cell seen, and covers p95 with a smaller probability.
    """
    n = size(counts)
    value = statistic(metric, counts)
    if value is None:
        return ArmFigures(0, None, None, None)
    if metric.statistic == "share":
        ends: tuple[float, float] | None = wilson(counts.get(1, 0), n)
    elif metric.statistic == "mean":
        ends = _around_mean(metric.scale, counts)
    else:
        low, high = ranks(round(n), QUANTILE)
        ends = value_at(metric.scale, counts, low), value_at(metric.scale, counts, high)
    low_end, high_end = (None, None) if ends is None else (_short(ends[0]), _short(ends[1]))
    return ArmFigures(round(n), _short(value), low_end, high_end)


def wilson(bad: float, n: float, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of a share of `bad` in `n` outcomes; z: how many standard deviations."""
    rate, square = bad / n, z * z
    centre = (rate + square / (2 * n)) / (1 + square / n)
    reach = z * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def mean(scale: Scale, counts: Counts) -> tuple[float, float]:
    """Mean and its standard error, of at least one outcome; cells count as their middles."""
    value, variance = _mean(scale, counts)
    return value, math.sqrt(variance / size(counts))


def value_at(scale: Scale, counts: Counts, rank: float) -> float:
    """The value below which `rank` of the outcomes lie, interpolated within its cell."""
    below = 0.0
    cells = sorted(cell for cell, count in counts.items() if count > 0)
    for cell in cells:
        if below + counts[cell] >= rank:
            return _within(scale, cell, (rank - below) / counts[cell])
        below += counts[cell]
    return _within(scale, cells[-1], 1.0)


def ranks(n: int, quantile: float) -> tuple[float, float]:
    """The ranks that enclose the quantile of n outcomes; n itself if none lies surely above."""
    if n > EXACT:
        reach = Z * math.sqrt(n * quantile * (1 - quantile))
        return max(0.0, n * quantile - reach), min(float(n), n * quantile + reach)
    low, high = n, n
    above = 0.0
    for k in range(n, -1, -1):
        mass = math.comb(n, k) * quantile**k * (1 - quantile) ** (n - k)
        if above + mass <= TAIL:
            high = k
        above += mass
        if 1 - above <= TAIL:
            low = k
            break
    return float(max(0, low - 1)), float(high)


def _within(scale: Scale, cell: int, fraction: float) -> float:
    low, high = bounds(scale, cell)
    fraction = min(1.0, max(0.0, fraction))
    if scale == "ratio" and low > 0:
        return float(low * (high / low) ** fraction)
    return low + (high - low) * fraction


def _mean(scale: Scale, counts: Counts) -> tuple[float, float]:
    """Mean and variance of the outcomes; the variance of one outcome is that of its cell."""
    n = size(counts)
    at = sum(count * middle(scale, cell) for cell, count in counts.items()) / n
    spread = sum(count * (middle(scale, cell) - at) ** 2 for cell, count in counts.items())
    inside = sum(count * _width(scale, cell) ** 2 / 12 for cell, count in counts.items()) / n
    return at, spread / max(n - 1, 1) + inside


def _width(scale: Scale, cell: int) -> float:
    low, high = bounds(scale, cell)
    return high - low


def _around_mean(scale: Scale, counts: Counts) -> tuple[float, float] | None:
    if size(counts) < 2:
        return None
    at, error = mean(scale, counts)
    if scale == "ratio":
        factor = math.exp(Z * error / at) if at > 0 else 1.0
        return at / factor, at * factor
    return max(0.0, at - Z * error), min(1.0, at + Z * error)


def _short(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}")
