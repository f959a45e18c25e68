"""The statistics of the values in one stretch of time.

Count, sum, minimum and maximum are exact. The distribution is a histogram whose bins are 2.2 % wide
(32 to a doubling) and, up to 1, no wider than a hundredth; a bin is open below and closed above and
remembers its own mean, so what is asked at a bin's edge, or of few distinct values, is exact, and
the rest within about 1 %.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from .statistic import range_of

PER_DOUBLING = 32
EDGE = 1e-9
"""How far above an edge a value may be, by rounding, and still belong to the bin below."""
_STRIDE = 128
_ZERO = -10_000_000
_NEGATIVE = 2 * _ZERO


class Bin:
    """The values that share a bin: how many, and their sum, minimum and maximum."""

    __slots__ = ("high", "low", "times", "total")

    def __init__(self) -> None:
        self.times, self.total, self.low, self.high = 0.0, 0.0, math.inf, -math.inf

    def add(self, times: float, total: float, low: float, high: float) -> None:
        self.times += times
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)

    @property
    def value(self) -> float:
        """What its values are taken for: their mean, without rounding if they are all one value."""
        return min(max(self.total / self.times, self.low), self.high)


class Bucket:
    """Statistics of values; also the sum of several buckets."""

    __slots__ = ("_sorted", "bins", "count", "high", "low", "total")

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.bins: dict[int, Bin] = {}
        self._sorted: tuple[list[float], list[float]] | None = None

    def add(self, value: float, times: float = 1.0) -> None:
        self.count += times
        self.total += value * times
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self._bin(bin_of(value)).add(times, value * times, value, value)

    def add_set(self, count: float, total: float, low: float, high: float) -> None:
        """A statistic set: its inner distribution is unknown unless it is a single value."""
        if low == high:
            self.add(low, count)
            return
        self.count += count
        self.total += total
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: Bucket) -> None:
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        for index, its in other.bins.items():
            self._bin(index).add(its.times, its.total, its.low, its.high)

    def _bin(self, index: int) -> Bin:
        self._sorted = None
        found = self.bins.get(index)
        if found is None:
            found = self.bins[index] = Bin()
        return found

    def statistic(self, name: str) -> float | None:
        """Average, Sum, SampleCount, Minimum, Maximum, pNN, TC(...) or PR(...); None if unknown."""
        if name == "Average":
            return self.total / self.count if self.count else None
        simple = {
            "Sum": self.total,
            "SampleCount": self.count,
            "Minimum": self.low,
            "Maximum": self.high,
        }
        if name in simple:
            return simple[name]
        between = range_of(name)
        if between is None:
            return self.percentile(float(name[1:]))
        count = self.within(between.low, between.high)
        return count if count is None or between.kind == "TC" else 100 * count / self.count

    def percentile(self, percent: float) -> float | None:
        """The value below which `percent` % of the values lie (nearest rank).

        None if statistic sets are among them, as CloudWatch does.
        """
        values, seen = self._distribution()
        if not self._known(seen):
            return None
        rank = percent * seen[-1] / 100 - 1e-6
        return next((v for v, s in zip(values, seen, strict=True) if s >= rank), self.high)

    def within(self, low: float, high: float) -> float | None:
        """How many values lie in (low, high]; 0 if the bucket has values, but none there.

        None if statistic sets are among the values. AWS documents the open and the closed end, not
        what an empty range answers: zero is assumed, since SampleCount there is not missing either.
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html

        AWS also says that its trimmed count interpolates and may be a fraction; here it is whole.
        """
        values, seen = self._distribution()
        if not self._known(seen):
            return None
        first, last = bisect_right(values, low), bisect_right(values, high)
        return (seen[last - 1] if last else 0.0) - (seen[first - 1] if first else 0.0)

    def _known(self, seen: list[float]) -> bool:
        return bool(seen) and seen[-1] >= self.count

    def _distribution(self) -> tuple[list[float], list[float]]:
        """The bins' values, ascending, and how many values there are up to each."""
        if self._sorted is None:
            bins = [self.bins[index] for index in sorted(self.bins)]
            self._sorted = [b.value for b in bins], list(_cumulative(bins))
        return self._sorted


def _cumulative(bins: list[Bin]) -> Iterator[float]:
    return accumulate(b.times for b in bins)


def bin_of(value: float) -> int:
    """The bin's number; bins ascend as values do."""
    if value == 0:
        return _ZERO
    if value < 0:
        return _NEGATIVE - bin_of(-value)
    step = math.ceil(PER_DOUBLING * math.log2(value) - EDGE) * _STRIDE
    return step + math.ceil(value * 100 - EDGE) if value <= 1 else step
