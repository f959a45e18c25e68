"""An experiment's variant is read from CloudWatch by its own dimensions, in whole hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cloudwatch_twin import statistic

from llmops_runbooks.aws.histories import CloudWatchHistories
from llmops_runbooks.experiment_report import METRICS

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
VALUES = {
    "Exposures": [1.0] * 5,
    "Errors": [0.0, 0.0, 0.0, 0.0, 1.0],
    "Quality": [0.9, 0.92, 0.1],
}


class CloudWatch:
    """One hour of values at noon."""

    def __init__(self) -> None:
        self.dimensions: set[tuple[tuple[str, str], ...]] = set()

    def call(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        assert (service, operation) == ("cloudwatch", "get_metric_data")
        inside = request["StartTime"] <= NOON < request["EndTime"]
        results = []
        for query in request["MetricDataQueries"]:
            metric, stat = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
            self.dimensions.add(
                tuple((each["Name"], each["Value"]) for each in metric["Dimensions"])
            )
            values = VALUES.get(metric["MetricName"], []) if inside else []
            found = [statistic(stat, values)] if values else []
            results.append({"Id": query["Id"], "StatusCode": "Complete", "Values": found})
        return {"MetricDataResults": results}


def exposed(cloudwatch: Any, start: datetime, end: datetime) -> Any:
    return CloudWatchHistories(cloudwatch, "llmops").exposed(
        METRICS,
        service="handbook",
        environment="dev",
        experiment="longer",
        variant="b",
        start=start,
        end=end,
    )


def test_the_outcomes_of_a_variant_are_counted_by_cell() -> None:
    cloudwatch = CloudWatch()
    found = exposed(cloudwatch, NOON, NOON + timedelta(hours=1))
    assert found.requests == 5
    assert found.counts == {"errors": {0: 4, 1: 1}, "quality": {2: 1, 18: 1, 19: 1}}
    assert cloudwatch.dimensions == {
        (
            ("service", "handbook"),
            ("environment", "dev"),
            ("experiment", "longer"),
            ("variant", "b"),
        )
    }


def test_the_hour_at_the_end_is_left_to_the_next_piece() -> None:
    found = exposed(CloudWatch(), NOON - timedelta(hours=3), NOON)
    assert (found.requests, found.counts) == (0, {})
