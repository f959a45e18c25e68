"""TC and PR: how many values lie in a range, open below and closed above."""

from __future__ import annotations

import itertools
import math
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.cloudwatch.bucket import Bucket, bin_of
from llmops_localcloud.cloudwatch.query import QueryError, checked_stat, read, run
from llmops_localcloud.cloudwatch.store import MetricStore

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EPOCH = int(NOON.timestamp())
DIMENSIONS = [{"Name": "release", "Value": "r1"}]


def bucket(*values: float) -> Bucket:
    made = Bucket()
    for value in values:
        made.add(value)
    return made


def query(number: int, metric: str, stat: str) -> dict[str, Any]:
    of = {"Namespace": "app", "MetricName": metric, "Dimensions": DIMENSIONS}
    return {"Id": f"q{number}", "MetricStat": {"Metric": of, "Period": 60, "Stat": stat}}


def quarter_octaves(count: int) -> list[str]:
    edges = [f"{2 ** (cell / 4):.10f}" for cell in range(count + 1)]
    return [f"TC({low}:{high})" for low, high in itertools.pairwise(edges)]


def test_a_range_is_open_below_and_closed_above() -> None:
    values = bucket(1, 2, 2, 3, 4)
    assert values.statistic("TC(1:3)") == 3
    assert values.statistic("TC(:3)") == 4
    assert values.statistic("TC(3:)") == 1
    assert values.statistic("PR(1:3)") == 60
    assert values.statistic("PR(:4)") == 100


def test_zero_lies_below_every_range_that_begins_at_zero() -> None:
    values = bucket(0, 0, 1)
    assert (values.statistic("TC(0:1)"), values.statistic("TC(:0)")) == (1, 2)


def test_a_range_without_values_in_a_bucket_with_some_is_zero() -> None:
    assert bucket(5).statistic("TC(0:1)") == 0
    assert bucket(5).statistic("PR(10:)") == 0


def test_a_value_on_an_edge_stays_there_however_often_it_comes() -> None:
    values = bucket(*[0.15] * 999, *[0.3] * 7, *[0.7] * 13)
    assert values.statistic("TC(0.1:0.15)") == 999
    assert values.statistic("TC(0.25:0.3)") == 7
    assert values.statistic("TC(0.65:0.7)") == 13


@pytest.mark.parametrize("edges", [[k / 20 for k in range(21)], [2 ** (k / 4) for k in range(61)]])
def test_cells_that_touch_count_exactly_and_every_value_once(edges: list[float]) -> None:
    dice = random.Random(7)
    top = edges[-1]
    values = [dice.random() * top if top == 1 else dice.lognormvariate(4, 2) for _ in range(3000)]
    made = bucket(*values)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        exact = sum(low < value <= high for value in values)
        found = made.statistic(f"TC({low:.10f}:{high:.10f})")
        assert found == exact
        total += found or 0
    assert total == sum(edges[0] < value <= edges[-1] for value in values)


def test_bins_ascend_with_values() -> None:
    dice = random.Random(3)
    values = sorted(dice.choice((-1, 1)) * 10 ** dice.uniform(-6, 9) for _ in range(2000))
    bins = [bin_of(value) for value in [*values, math.nextafter(0, 1)]]
    assert bins[:-1] == sorted(bins[:-1])
    assert bin_of(-1e-300) < bin_of(0) < bin_of(1e-300)


def test_a_statistic_set_has_no_counts_of_ranges() -> None:
    values = bucket(1)
    values.add_set(10, 50, 1, 9)
    assert values.statistic("TC(0:5)") is None


@pytest.mark.parametrize(
    "stat",
    ["TC(:)", "TC(3:1)", "TC(1:1)", "TC(10%:90%)", "TC(0:0.12345678901)", "tc90", "TC(-1:2)", "TC"],
)
def test_a_range_that_is_not_computed_is_refused(stat: str) -> None:
    with pytest.raises(QueryError, match="is not supported by the local cloud"):
        checked_stat(stat)


def fill(cloud: Any) -> None:
    data = [
        {"MetricName": "Latency", "Dimensions": DIMENSIONS, "Timestamp": NOON, "Value": value}
        for value in (10.0, 20.0, 20.0, 30.0)
    ]
    cloud.client().put_metric_data(Namespace="app", MetricData=data)


def ask(cloud: Any, *queries: dict[str, Any]) -> dict[str, list[float]]:
    answer = cloud.client().get_metric_data(
        MetricDataQueries=list(queries),
        StartTime=NOON - timedelta(minutes=1),
        EndTime=NOON + timedelta(minutes=2),
    )
    return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}


def test_only_minutes_with_values_answer_even_with_zero(cloud: Any) -> None:
    fill(cloud)
    found = ask(
        cloud,
        query(1, "Latency", "TC(10:20)"),
        query(2, "Latency", "TC(100:200)"),
        query(3, "Nothing", "TC(100:200)"),
        query(4, "Latency", "PR(:20)"),
    )
    assert found == {"q1": [2.0], "q2": [0.0], "q3": [], "q4": [75.0]}


def test_ranges_are_extended_statistics(cloud: Any) -> None:
    fill(cloud)
    (point,) = cloud.client().get_metric_statistics(
        Namespace="app",
        MetricName="Latency",
        Dimensions=DIMENSIONS,
        StartTime=NOON,
        EndTime=NOON + timedelta(minutes=1),
        Period=60,
        ExtendedStatistics=["TC(10:20)", "p50"],
    )["Datapoints"]
    assert point["ExtendedStatistics"] == {"TC(10:20)": 2.0, "p50": 20.0}


def test_a_call_takes_at_most_500_queries(cloud: Any) -> None:
    many = [query(number, "Latency", "Sum") for number in range(501)]
    with pytest.raises(ClientError, match="must not have a size greater than 500"):
        ask(cloud, *many)
    assert len(ask(cloud, *many[:500])) == 500


def test_450_cells_of_three_minutes_are_read_in_well_under_100_ms() -> None:
    store, dice = MetricStore(), random.Random(1)
    metrics = [f"m{number}" for number in range(10)]
    for second in range(180):
        at = NOON + timedelta(seconds=second)
        for metric in metrics:
            values = [dice.lognormvariate(5, 1.5) for _ in range(4)]
            store.put("app", metric, {"release": "r1"}, at, values)
    asked = [
        query(number, metrics[number % 10], stat)
        for number, stat in enumerate(quarter_octaves(45) * 10)
    ]

    def took() -> float:
        began = time.perf_counter()
        run(store, read(asked), EPOCH, EPOCH + 180)
        return time.perf_counter() - began

    assert min(took() for _ in range(5)) < 0.05
