"""How much a release served, minute by minute, from CloudWatch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from llmops_runbooks.errors import CloudError

STATISTICS = {"requests": ("Requests", "Sum")}
"""Key of a point -> metric and statistic."""


class CloudWatchMetrics:
    """Reads what the service published with the dimensions service, environment and release."""

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def series(
        self,
        *,
        service: str,
        environment: str,
        release: str,
        start: datetime,
        end: datetime,
        period: int = 60,
    ) -> list[dict[str, Any]]:
        """One dict per `period` seconds, oldest first: `start` (ISO 8601) and STATISTICS' keys.

        Periods without data are left out; a statistic that is missing in one is None. Raises
        CloudError if CloudWatch refuses, cannot be reached or answers in part only.
        """
        if end <= start:
            return []
        dimensions = {"service": service, "environment": environment, "release": release}
        queries = [self._query(key, dimensions, period) for key in STATISTICS]
        points: dict[datetime, dict[str, Any]] = {}
        for result in self._results(queries, start, end):
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                empty = {"start": at.isoformat(), "seconds": period, **dict.fromkeys(STATISTICS)}
                points.setdefault(at, empty)[result["Id"]] = round(value)
        return [points[at] for at in sorted(points)]

    def _query(self, key: str, dimensions: Mapping[str, str], period: int) -> dict[str, Any]:
        metric, statistic = STATISTICS[key]
        return {
            "Id": key,
            "MetricStat": {
                "Metric": {
                    "Namespace": self._namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                },
                "Period": period,
                "Stat": statistic,
            },
        }

    def _results(
        self, queries: list[dict[str, Any]], start: datetime, end: datetime
    ) -> Iterable[Mapping[str, Any]]:
        request: dict[str, Any] = {
            "MetricDataQueries": queries,
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
        }
        while True:
            page = self._page(request)
            yield from page["MetricDataResults"]
            if not page.get("NextToken"):
                _check_complete(page)
                return
            request["NextToken"] = page["NextToken"]

    def _page(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            page: Mapping[str, Any] = self._client.get_metric_data(**request)
        except (BotoCoreError, ClientError) as error:
            raise CloudError(
                f"cloudwatch:get_metric_data failed for {self._namespace}: {error}.",
                hint="Check the network and that cloudwatch:GetMetricData is allowed.",
            ) from error
        return page


def _check_complete(page: Mapping[str, Any]) -> None:
    for result in page["MetricDataResults"]:
        status = result.get("StatusCode", "Complete")
        if status != "Complete":
            raise CloudError(
                f"CloudWatch answered {status} for {result['Id']}: the series has gaps.",
                hint="Try again in a minute.",
            )
