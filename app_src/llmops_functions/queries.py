"""GetMetricData as a question and its answer: any number of statistics, minute by minute.

GetMetricData takes at most 500 queries a call and answers in pages:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmops_functions import awstime

PERIOD = awstime.MINUTE
MAXIMUM_QUERIES = 500

Series = dict[int, float]
"""Beginning of a minute, epoch seconds -> the statistic; a minute without data is missing."""


class ReadingError(Exception):
    """CloudWatch did not give all that was asked for; nothing may be concluded from the rest."""


@dataclass(frozen=True)
class Source:
    """Whose metrics: the namespace and the dimensions service and environment."""

    namespace: str
    service: str
    environment: str

    def dimensions(self, release: str, **more: str) -> tuple[tuple[str, str], ...]:
        """The dimensions of a release's metrics, or of one that has some more."""
        own = {"service": self.service, "environment": self.environment, "release": release}
        return tuple({**own, **more}.items())


@dataclass(frozen=True)
class Query:
    """One statistic of one metric."""

    metric: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str


def fetch(
    cloudwatch: Any, namespace: str, queries: Iterable[Query], start: int, end: int
) -> dict[Query, Series]:
    """Every query's minutes in [start, end). Raises ReadingError for partial data."""
    wanted = list(dict.fromkeys(queries))
    found: dict[Query, Series] = {query: {} for query in wanted}
    for first in range(0, len(wanted), MAXIMUM_QUERIES):
        batch = wanted[first : first + MAXIMUM_QUERIES]
        for number, at, value in _points(cloudwatch, namespace, batch, start, end):
            found[batch[number]][at] = value
    return found


def _points(
    cloudwatch: Any, namespace: str, batch: Sequence[Query], start: int, end: int
) -> Iterator[tuple[int, int, float]]:
    """Number of the query in the batch, minute, value; of all pages.

    A query whose last page is not Complete is an error.
    """
    request: dict[str, Any] = {
        "MetricDataQueries": [_asked(namespace, *each) for each in enumerate(batch)],
        "StartTime": datetime.fromtimestamp(start, tz=UTC),
        "EndTime": datetime.fromtimestamp(end, tz=UTC),
        "ScanBy": "TimestampAscending",
    }
    status = {f"q{number}": "Missing" for number in range(len(batch))}
    while True:
        response = cloudwatch.get_metric_data(**request)
        for result in response["MetricDataResults"]:
            status[result["Id"]] = result.get("StatusCode", "Complete")
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                yield int(result["Id"][1:]), int(at.timestamp()), value
        if not response.get("NextToken"):
            break
        request["NextToken"] = response["NextToken"]
    _complete(batch, status)


def _complete(batch: Sequence[Query], status: Mapping[str, str]) -> None:
    for query, code in zip(batch, status.values(), strict=True):
        if code != "Complete":
            raise ReadingError(f"CloudWatch answered {code} for {query.metric} {query.stat}.")


def _asked(namespace: str, number: int, query: Query) -> dict[str, Any]:
    metric = {
        "Namespace": namespace,
        "MetricName": query.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
    }
    stat = {"Metric": metric, "Period": PERIOD, "Stat": query.stat}
    return {"Id": f"q{number}", "MetricStat": stat, "ReturnData": True}
