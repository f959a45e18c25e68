"""The metric store: what is kept, how it is aggregated, and that it stays small and quick."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from llmops_localcloud.cloudwatch.query import MetricStat, aligned, points, read, run
from llmops_localcloud.cloudwatch.store import (
    MINUTES_KEPT,
    SECONDS_KEPT,
    MetricKey,
    MetricStore,
    metric_key,
)

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON_EPOCH = int(NOON.timestamp())
KEY = metric_key("app", "Latency", {"release": "r1"})


def put(store: MetricStore, seconds: float, *values: float) -> None:
    store.put("app", "Latency", {"release": "r1"}, NOON + timedelta(seconds=seconds), values)


def stat(store: MetricStore, name: str, period: int = 60) -> dict[int, float]:
    found = points(store, MetricStat(KEY, period, name), NOON_EPOCH, NOON_EPOCH + 600)
    return {begin - NOON_EPOCH: value for begin, value in found.items()}


def test_a_minute_is_summed_up_and_an_empty_one_is_absent() -> None:
    store = MetricStore()
    put(store, 1, 2.0, 4.0)
    put(store, 59.9, 6.0)
    put(store, 120, 1.0)
    assert stat(store, "Average") == {0: 4.0, 120: 1.0}
    assert stat(store, "Sum") == {0: 12.0, 120: 1.0}
    assert stat(store, "SampleCount") == {0: 3.0, 120: 1.0}
    assert stat(store, "Minimum") == {0: 2.0, 120: 1.0}
    assert stat(store, "Maximum") == {0: 6.0, 120: 1.0}


def test_short_and_long_periods_see_the_same_values() -> None:
    store = MetricStore()
    for second in range(0, 300, 7):
        put(store, second, 1.0)
    assert sum(stat(store, "Sum", 10).values()) == 43
    assert stat(store, "Sum", 300) == {0: 43.0}
    assert stat(store, "Sum", 10)[0] == 2


def test_percentiles_are_exact_for_few_values_and_close_for_many() -> None:
    store = MetricStore()
    put(store, 0, *[0.0] * 90, *[1.0] * 10)
    assert (stat(store, "p50"), stat(store, "p95")) == ({0: 0.0}, {0: 1.0})
    dice = random.Random(5)
    values = [dice.lognormvariate(5, 1) for _ in range(5000)]
    put(store, 60, *values)
    for percent in (50, 90, 95, 99, 99.9):
        exact = sorted(values)[round(percent / 100 * len(values)) - 1]
        assert stat(store, f"p{percent}")[60] == pytest.approx(exact, rel=0.02)


def test_negative_values_sort_below_zero() -> None:
    store = MetricStore()
    put(store, 0, -5.0, -1.0, 0.0, 2.0)
    assert [stat(store, p)[0] for p in ("p25", "p50", "p75", "p100")] == [-5.0, -1.0, 0.0, 2.0]


def test_a_statistic_set_has_no_percentiles_unless_it_is_one_value() -> None:
    store = MetricStore()
    store.put_set(KEY, NOON, count=10, total=50, low=1, high=9)
    assert stat(store, "Average") == {0: 5.0}
    assert stat(store, "p50") == {}
    later = NOON + timedelta(minutes=1)
    store.put_set(KEY, later, count=4, total=12, low=3, high=3)
    assert stat(store, "p50") == {60: 3.0}


def test_dimensions_name_the_series_whatever_their_order() -> None:
    store = MetricStore()
    store.put("app", "m", {"a": "1", "b": "2"}, NOON, [1.0])
    store.put("app", "m", {"b": "2", "a": "1"}, NOON, [1.0])
    assert store.metrics() == [MetricKey("app", "m", (("a", "1"), ("b", "2")))]


def test_a_start_is_rounded_down_to_a_minute_or_to_a_short_period() -> None:
    assert aligned(NOON_EPOCH + 75, 300) == NOON_EPOCH + 60
    assert aligned(NOON_EPOCH + 75, 10) == NOON_EPOCH + 70


def test_memory_stays_bounded() -> None:
    store = MetricStore()
    for second in range(4 * SECONDS_KEPT):
        put(store, second, 1.0)
    series = store._series[KEY]
    assert len(series.seconds) <= SECONDS_KEPT * 1.25 + 1
    for minute in range(2 * MINUTES_KEPT):
        put(store, minute * 60, 1.0)
    assert len(series.minutes) <= MINUTES_KEPT * 1.25 + 1


def test_eight_series_over_an_hour_are_read_in_a_few_milliseconds() -> None:
    store, dice = MetricStore(), random.Random(1)
    names = [f"m{i}" for i in range(8)]
    for second in range(3600):
        for name in names:
            at = NOON + timedelta(seconds=second)
            store.put("app", name, {"release": "r1"}, at, [dice.random()])
    queries = read(
        [
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "app",
                        "MetricName": name,
                        "Dimensions": [{"Name": "release", "Value": "r1"}],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
            for name in names
        ]
    )
    best = min(_timed(lambda: run(store, queries, NOON_EPOCH, NOON_EPOCH + 3600)) for _ in range(5))
    assert best < 0.05


def _timed(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started
