"""CloudWatch in memory: raw values in, statistics out, in shapes that botocore's model accepts."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

MODEL = botocore.session.get_session().get_service_model("cloudwatch")
TRIMMED = re.compile(r"TC\(([\d.]*):([\d.]*)\)")

Key = tuple[str, tuple[tuple[str, str], ...]]


class CloudWatch:
    """Values by metric, dimensions and minute; it refuses what AWS would refuse."""

    def __init__(self) -> None:
        self.values: dict[Key, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.calls: list[int] = []
        self.broken = False

    def put(self, metric: str, dimensions: dict[str, str], at: int, values: list[float]) -> None:
        """Values of the minute that begins at `at`."""
        self.values[metric, tuple(sorted(dimensions.items()))][at].extend(values)

    def get_metric_data(self, **request: Any) -> dict[str, Any]:
        _check(request, MODEL.operation_model("GetMetricData").input_shape)
        if self.broken:
            raise TimeoutError("CloudWatch did not answer")
        queries = request["MetricDataQueries"]
        assert len(queries) <= 500
        self.calls.append(len(queries))
        start, end = request["StartTime"], request["EndTime"]
        assert start < end
        return {"MetricDataResults": [self._result(query, start, end) for query in queries]}

    def list_metrics(self, **request: Any) -> dict[str, Any]:
        _check(request, MODEL.operation_model("ListMetrics").input_shape)
        wanted = {(each["Name"], each["Value"]) for each in request["Dimensions"]}
        found = [
            {"MetricName": name, "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions]}
            for name, dimensions in self.values
            if name == request["MetricName"] and wanted <= set(dimensions)
        ]
        return {"Metrics": found}

    def _result(self, query: dict[str, Any], start: Any, end: Any) -> dict[str, Any]:
        stat = query["MetricStat"]
        assert stat["Period"] == 60
        of = {each["Name"]: each["Value"] for each in stat["Metric"]["Dimensions"]}
        series = self.values.get((stat["Metric"]["MetricName"], tuple(sorted(of.items()))), {})
        points = {
            at: statistic(stat["Stat"], values)
            for at, values in sorted(series.items())
            if start.timestamp() <= at < end.timestamp() and values
        }
        times = [start.fromtimestamp(at, tz=start.tzinfo) for at in points]
        values = list(points.values())
        return {
            "Id": query["Id"],
            "StatusCode": "Complete",
            "Timestamps": times,
            "Values": values,
        }


def statistic(name: str, values: list[float]) -> float:
    """What CloudWatch's documentation says of the statistic."""
    simple = {"Sum": sum, "SampleCount": len, "Minimum": min, "Maximum": max}
    if name in simple:
        return float(simple[name](values))  # type: ignore[operator]
    found = TRIMMED.fullmatch(name)
    assert found and any(found.groups()), name
    assert all(len(bound.partition(".")[2]) <= 10 for bound in found.groups())
    low = float(found[1]) if found[1] else -math.inf
    high = float(found[2]) if found[2] else math.inf
    return float(sum(low < value <= high for value in values))


def _check(request: dict[str, Any], shape: Any) -> None:
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
