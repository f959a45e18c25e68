"""What a release has done, as histograms read from CloudWatch.

The service publishes values, not bins. A histogram is read in two steps: count, smallest and
largest value of each metric say which cells can hold something, then the statistic
`TC(low:high)` counts each of these cells:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from llmops_judge.observations import Counts, History
from llmops_judge.policy import Metric
from llmops_judge.scales import cell, trimmed
from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.errors import CloudError

HOUR = 3600
AT_ONCE = 500
"""Queries that GetMetricData takes in one call."""
FIRST = ("SampleCount", "Sum", "Minimum", "Maximum")

Query = tuple[str, str]
"""CloudWatch's name of a metric, and a statistic."""


class CloudWatchHistories:
    """Reads by the dimensions service and environment, and release or experiment and variant."""

    def __init__(self, clients: Clients, namespace: str) -> None:
        self._clients = clients
        self._namespace = namespace

    def history(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        release: str,
        start: datetime,
        end: datetime,
    ) -> History:
        """The history of whole hours around the window; `metrics` without data are left out.

        Raises CloudError if CloudWatch refuses, cannot be reached or answers in part only.
        """
        dimensions = {"service": service, "environment": environment, "release": release}
        window = _hour(start), _hour(end) + HOUR
        return self._read(metrics, "Requests", dimensions, window)

    def exposed(
        self,
        metrics: Sequence[Metric],
        *,
        service: str,
        environment: str,
        experiment: str,
        variant: str,
        start: datetime,
        end: datetime,
    ) -> History:
        """What an experiment's variant did in whole hours, from `start` to before `end`; its
        requests are its exposures. Raises CloudError as `history` does."""
        dimensions = {
            "service": service,
            "environment": environment,
            "experiment": experiment,
            "variant": variant,
        }
        return self._read(metrics, "Exposures", dimensions, (_hour(start), _hour(end)))

    def _read(
        self,
        metrics: Sequence[Metric],
        counter: str,
        dimensions: Mapping[str, str],
        window: tuple[int, int],
    ) -> History:
        wanted = [(metric.published, stat) for metric in metrics for stat in FIRST]
        seen = self._values([(counter, "Sum"), *wanted], dimensions, window)
        cells = {metric.name: _cells(metric, seen) for metric in metrics}
        counted = self._values(
            [query for queries in cells.values() for query in queries.values()], dimensions, window
        )
        counts = {
            metric.name: _counts(metric, seen, cells[metric.name], counted) for metric in metrics
        }
        requests = round(sum(seen.get((counter, "Sum"), ())))
        return History(requests, {name: each for name, each in counts.items() if each})

    def _values(
        self, queries: Sequence[Query], dimensions: Mapping[str, str], window: tuple[int, int]
    ) -> dict[Query, list[float]]:
        """Query -> its value in each hour that has one."""
        found: dict[Query, list[float]] = {}
        for at in range(0, len(queries), AT_ONCE):
            some = queries[at : at + AT_ONCE]
            ids = {f"q{number}": query for number, query in enumerate(some)}
            request = [self._query(key, *query, dimensions) for key, query in ids.items()]
            for result in self._results(request, window):
                found.setdefault(ids[result["Id"]], []).extend(result["Values"])
        return found

    def _query(
        self, key: str, name: str, statistic: str, dimensions: Mapping[str, str]
    ) -> dict[str, Any]:
        metric = {
            "Namespace": self._namespace,
            "MetricName": name,
            "Dimensions": [{"Name": each, "Value": value} for each, value in dimensions.items()],
        }
        return {"Id": key, "MetricStat": {"Metric": metric, "Period": HOUR, "Stat": statistic}}

    def _results(
        self, queries: list[dict[str, Any]], window: tuple[int, int]
    ) -> Iterator[Mapping[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self._clients.call(
                "cloudwatch",
                "get_metric_data",
                MetricDataQueries=queries,
                StartTime=datetime.fromtimestamp(window[0], tz=UTC),
                EndTime=datetime.fromtimestamp(window[1], tz=UTC),
                **more,
            )
            yield from page["MetricDataResults"]
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
        for result in page["MetricDataResults"]:
            if result.get("StatusCode", "Complete") != "Complete":
                raise CloudError(
                    f"CloudWatch answered {result['StatusCode']} for a part of the history.",
                    hint="Try again in a minute, or state the rates: --rate N.",
                )


def _hour(moment: datetime) -> int:
    return int(moment.timestamp()) // HOUR * HOUR


def _cells(metric: Metric, seen: Mapping[Query, list[float]]) -> dict[int, Query]:
    """The cells that can hold something, with the query that counts each."""
    low, high = seen.get((metric.published, "Minimum")), seen.get((metric.published, "Maximum"))
    if metric.scale == "share" or not low or not high:
        return {}
    first, last = cell(metric.scale, min(low)), cell(metric.scale, max(high))
    return {at: (metric.published, trimmed(metric.scale, at)) for at in range(first, last + 1)}


def _counts(
    metric: Metric,
    seen: Mapping[Query, list[float]],
    cells: Mapping[int, Query],
    counted: Mapping[Query, list[float]],
) -> Counts:
    name = metric.published
    n = sum(seen.get((name, "SampleCount"), ()))
    if not n:
        return {}
    if metric.scale == "share":
        bad = sum(seen.get((name, "Sum"), ()))
        return _some({0: n - bad, 1: bad})
    return _some({at: sum(counted.get(query, ())) for at, query in cells.items()})


def _some(counts: Mapping[int, float]) -> Counts:
    return {at: count for at, count in counts.items() if count > 0}
