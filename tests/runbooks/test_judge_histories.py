"""A release's history is read from CloudWatch as histograms, cell by cell."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudwatch_twin import statistic

from llmops_judge.policy import CATALOGUE, Metric, Policy
from llmops_judge.scales import cell
from llmops_runbooks.aws.histories import CloudWatchHistories
from llmops_runbooks.errors import CloudError

END = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class CloudWatch:
    """GetMetricData over values by the hour; `TC(low:high)` counts in (low, high]."""

    def __init__(self, values: Mapping[str, Mapping[datetime, list[float]]]) -> None:
        self.values = values
        self.queries: list[int] = []
        self.status = "Complete"

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        assert (service, operation) == ("cloudwatch", "get_metric_data")
        self.queries.append(len(request["MetricDataQueries"]))
        start, end = request["StartTime"], request["EndTime"]
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "StatusCode": self.status, **self._result(query, start, end)}
                for query in request["MetricDataQueries"]
            ]
        }

    def _result(self, query: Any, start: datetime, end: datetime) -> dict[str, Any]:
        stat = query["MetricStat"]
        assert stat["Metric"]["Dimensions"][2] == {"Name": "release", "Value": "1.0.0-aaaa"}
        hours = self.values.get(stat["Metric"]["MetricName"], {})
        found = {at: each for at, each in hours.items() if start <= at < end and each}
        return {
            "Timestamps": list(found),
            "Values": [statistic(stat["Stat"], each) for each in found.values()],
        }


def read(cloudwatch: CloudWatch, *metrics: Metric, hours: int = 2) -> Any:
    clients: Any = cloudwatch
    return CloudWatchHistories(clients, "llmops").history(
        metrics or Policy().metrics,
        service="handbook",
        environment="dev",
        release="1.0.0-aaaa",
        start=END - hours * HOUR,
        end=END,
    )


def at(hours: int) -> datetime:
    return END.replace(minute=0) - hours * HOUR


def test_every_value_is_counted_in_its_cell_over_all_hours() -> None:
    chance = random.Random(3)
    values = {
        "Requests": {at(0): [1.0] * 40, at(1): [1.0] * 60},
        "Latency": {at(n): [chance.lognormvariate(7, 1) for _ in range(50)] for n in (0, 1)},
        "Errors": {at(0): [0.0] * 38 + [1.0] * 2, at(1): [0.0] * 60},
        "Quality": {at(0): [0.0, 0.0, 0.31, 1.0]},
    }
    found = read(CloudWatch(values))
    latency: dict[int, float] = {}
    for value in (value for hour in values["Latency"].values() for value in hour):
        latency[cell("ratio", value)] = latency.get(cell("ratio", value), 0) + 1
    assert found.requests == 100
    assert found.counts == {
        "errors": {0: 98, 1: 2},
        "latency": latency,
        "quality": {0: 2, 7: 1, 20: 1},
    }


def test_nothing_is_read_from_before_the_window() -> None:
    values = {"Requests": {at(0): [1.0], at(9): [1.0] * 7}}
    assert read(CloudWatch(values)).requests == 1


def test_a_release_without_traffic_has_an_empty_history() -> None:
    found = read(CloudWatch({}))
    assert (found.requests, found.counts) == (0, {})


def test_no_call_asks_for_more_than_500_statistics() -> None:
    wide = {at(0): [0.002, 9e8]}
    names = ("Latency", "FirstToken", "Cost", "Tokens", "One", "Two")
    own = [Metric(name, "ratio", margin=1.5, statistic="mean") for name in ("one", "two")]
    cloudwatch = CloudWatch(dict.fromkeys(names, wide))
    found = read(cloudwatch, *(CATALOGUE[n] for n in ("latency", "first_token", "cost")), *own)
    assert max(cloudwatch.queries) == 500
    assert found.counts["two"] == {cell("ratio", 0.002): 1, cell("ratio", 9e8): 1}


def test_a_part_of_an_answer_is_no_answer() -> None:
    cloudwatch = CloudWatch({"Requests": {at(0): [1.0]}})
    cloudwatch.status = "PartialData"
    with pytest.raises(CloudError, match="PartialData"):
        read(cloudwatch)
