"""Metrics, pre-aggregated as they arrive.

A series (namespace, name, dimensions) has two tiers of buckets: one per virtual second, kept half a
virtual hour, and one per virtual minute, kept three virtual days (CloudWatch keeps high-resolution
data three hours and minutes fifteen days).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from .bucket import Bucket

T = TypeVar("T")

SECONDS_KEPT = 1800
MINUTES_KEPT = 3 * 24 * 60


@dataclass(frozen=True)
class MetricKey:
    """What names a series; dimensions are sorted pairs."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()


def metric_key(namespace: str, name: str, dimensions: Mapping[str, str]) -> MetricKey:
    return MetricKey(namespace, name, tuple(sorted(dimensions.items())))


class Series:
    """One metric's buckets, by the epoch second they begin at."""

    __slots__ = ("minutes", "seconds", "unit")

    def __init__(self) -> None:
        self.seconds: dict[int, Bucket] = {}
        self.minutes: dict[int, Bucket] = {}
        self.unit = "None"

    def at(self, epoch: float) -> tuple[Bucket, Bucket]:
        """The buckets of an instant, made if missing."""
        second = int(epoch // 1)
        minute = second - second % 60
        fine, coarse = self.seconds.get(second), self.minutes.get(minute)
        if fine is None:
            fine = self.seconds[second] = Bucket()
            _prune(self.seconds, SECONDS_KEPT, 1)
        if coarse is None:
            coarse = self.minutes[minute] = Bucket()
            _prune(self.minutes, MINUTES_KEPT, 60)
        return fine, coarse

    def between(self, start: int, end: int, *, fine: bool) -> Iterator[Bucket]:
        """Buckets that begin in [start, end)."""
        tier, step = (self.seconds, 1) if fine else (self.minutes, 60)
        for epoch in range(start, end, step):
            bucket = tier.get(epoch)
            if bucket is not None:
                yield bucket


def _prune(buckets: dict[int, Bucket], kept: int, step: int) -> None:
    """Drop buckets older than `kept` steps before the newest; seldom, and all at once."""
    if len(buckets) <= kept * 1.25:
        return
    oldest = max(buckets) - kept * step
    for epoch in [e for e in buckets if e < oldest]:
        del buckets[epoch]


class MetricStore:
    """All series of one account and region. Safe from any thread."""

    def __init__(self) -> None:
        self._series: dict[MetricKey, Series] = {}
        self._lock = threading.RLock()

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        at: datetime,
        values: Sequence[float],
        *,
        unit: str = "None",
        counts: Sequence[float] | None = None,
    ) -> None:
        """Record values at a virtual time; `counts` says how often each occurred."""
        epoch = at.timestamp()
        with self._lock:
            fine, coarse = self._at(metric_key(namespace, name, dimensions), epoch, unit)
            for value, times in zip(values, counts or (1.0,) * len(values), strict=True):
                fine.add(value, times)
                coarse.add(value, times)

    def put_set(
        self,
        key: MetricKey,
        at: datetime,
        *,
        count: float,
        total: float,
        low: float,
        high: float,
        unit: str = "None",
    ) -> None:
        """Record a statistic set."""
        with self._lock:
            for bucket in self._at(key, at.timestamp(), unit):
                bucket.add_set(count, total, low, high)

    def _at(self, key: MetricKey, epoch: float, unit: str) -> tuple[Bucket, Bucket]:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series()
        series.unit = unit or "None"
        return series.at(epoch)

    def measure(
        self,
        key: MetricKey,
        span: range,
        how: Callable[[Bucket], T],
        unit: str | None = None,
    ) -> dict[int, T]:
        """`how` applied to each period that has data, by its beginning.

        `span` is range(start, end, period) in epoch seconds. Only values given in `unit` count, if
        a unit is asked for. `how` must not keep the bucket.
        """
        fine = bool(span.start % 60 or span.step % 60)
        found: dict[int, T] = {}
        with self._lock:
            series = self._series.get(key)
            if series is None or (unit and unit != series.unit):
                return found
            for begin in span:
                whole = _merged(list(series.between(begin, begin + span.step, fine=fine)))
                if whole is not None:
                    found[begin] = how(whole)
        return found

    def unit(self, key: MetricKey) -> str:
        """The unit the metric was last given with."""
        with self._lock:
            return self._series[key].unit if key in self._series else "None"

    def metrics(self) -> list[MetricKey]:
        """Every metric that ever had a value."""
        with self._lock:
            return list(self._series)


def _merged(buckets: Sequence[Bucket]) -> Bucket | None:
    """The one bucket, or a new one that sums them up; None if there are none."""
    if len(buckets) < 2:
        return buckets[0] if buckets else None
    whole = Bucket()
    for bucket in buckets:
        whole.merge(bucket)
    return whole


def epoch_to_datetime(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
