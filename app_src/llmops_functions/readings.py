"""Both arms' metrics per minute, read from CloudWatch in one GetMetricData call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from llmops_functions import awstime

PERIOD = awstime.MINUTE
METRICS = {
    "requests": "Requests",
    "errors": "Errors",
    "answers": "Answers",
    "poor": "PoorAnswers",
    "quality_sum": "Quality",
    "latency_sum": "Latency",
}
"""Our names and the metrics the service publishes; all read as sums (Latency in milliseconds)."""


class ReadingError(Exception):
    """CloudWatch did not give all that was asked for; nothing may be concluded from the rest."""


@dataclass(frozen=True)
class ArmReading:
    """One arm in one minute. None: there were requests, and this metric was not reported."""

    requests: int = 0
    errors: int | None = 0
    answers: int | None = 0
    poor: int | None = 0
    quality_sum: float | None = 0.0
    latency_sum: float | None = 0.0


@dataclass(frozen=True)
class Interval:
    """One minute of both arms; `start` in epoch seconds."""

    start: int
    baseline: ArmReading
    canary: ArmReading

    def to_json(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {
            "start": awstime.iso(self.start),
            "seconds": PERIOD,
            "baseline": asdict(self.baseline),
            "canary": asdict(self.canary),
        }


@dataclass(frozen=True)
class Source:
    """Whose metrics: the namespace and the dimensions service and environment."""

    namespace: str
    service: str
    environment: str


def read(
    cloudwatch: Any, source: Source, *, releases: Mapping[str, str], start: int, end: int
) -> list[Interval]:
    """The minutes in [start, end) in which either arm reported anything, oldest first.

    releases: `baseline` and `canary` -> release id. Raises ReadingError for partial data.
    """
    if end <= start:
        return []
    queries = [
        _query(source, arm, release, name) for arm, release in releases.items() for name in METRICS
    ]
    sums: dict[int, dict[str, dict[str, float]]] = {}
    for result in _results(cloudwatch, queries, start, end):
        arm, _, name = result["Id"].partition("_")
        for at, total in zip(result["Timestamps"], result["Values"], strict=True):
            minute = sums.setdefault(int(at.timestamp()), {})
            minute.setdefault(arm, {})[name] = total
    return [_interval(at, sums[at]) for at in sorted(sums)]


def _query(source: Source, arm: str, release: str, name: str) -> dict[str, Any]:
    dimensions = {
        "service": source.service,
        "environment": source.environment,
        "release": release,
    }
    metric = {
        "Namespace": source.namespace,
        "MetricName": METRICS[name],
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    stat = {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}
    return {"Id": f"{arm}_{name}", "MetricStat": stat, "ReturnData": True}


def _results(
    cloudwatch: Any, queries: list[dict[str, Any]], start: int, end: int
) -> Iterable[dict[str, Any]]:
    """Every page's results; a query whose last page is not Complete is an error."""
    request: dict[str, Any] = {
        "MetricDataQueries": queries,
        "StartTime": datetime.fromtimestamp(start, tz=UTC),
        "EndTime": datetime.fromtimestamp(end, tz=UTC),
        "ScanBy": "TimestampAscending",
    }
    status = {query["Id"]: "Missing" for query in queries}
    while True:
        response = cloudwatch.get_metric_data(**request)
        for result in response["MetricDataResults"]:
            status[result["Id"]] = result.get("StatusCode", "Complete")
            yield result
        if not response.get("NextToken"):
            break
        request["NextToken"] = response["NextToken"]
    for query, code in status.items():
        if code != "Complete":
            raise ReadingError(f"CloudWatch answered {code} for {query}.")


def _interval(start: int, arms: Mapping[str, Mapping[str, float]]) -> Interval:
    return Interval(start, _arm(arms.get("baseline", {})), _arm(arms.get("canary", {})))


def _arm(sums: Mapping[str, float]) -> ArmReading:
    """What was reported; when every request failed, no answers is a fact and not a gap."""
    requests = _whole(sums.get("requests")) or 0
    errors = _whole(sums.get("errors"))
    if not requests:
        return ArmReading()
    silent = errors == requests and "answers" not in sums
    answered = (
        {**dict.fromkeys(("answers", "poor", "quality_sum"), 0.0), **sums} if silent else sums
    )
    return ArmReading(
        requests=requests,
        errors=errors,
        answers=_whole(answered.get("answers")),
        poor=_whole(answered.get("poor")),
        quality_sum=answered.get("quality_sum"),
        latency_sum=sums.get("latency_sum"),
    )


def _whole(total: float | None) -> int | None:
    return None if total is None else round(total)
