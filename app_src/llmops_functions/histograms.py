"""A metric's minutes as counts over the judge's cells, read from CloudWatch.

A share (0 or 1) needs its sum and its count. Of any other metric, `Minimum` and `Maximum` say
between which cells the values lie, and the trimmed count `TC(low:high)`, which counts what is
above `low` and up to `high`, reads each of them: no bin is a metric that costs money of its own.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmops_functions.queries import Query, Series
from llmops_judge.policy import Metric
from llmops_judge.scales import cell, trimmed

Dimensions = tuple[tuple[str, str], ...]


def overview(metric: Metric, of: Dimensions) -> tuple[Query, ...]:
    """What to ask first: all there is to know of a share, and where the values of others lie."""
    stats = ("Sum",) if metric.scale == "share" else ("Minimum", "Maximum")
    return tuple(Query(metric.published, of, stat) for stat in ("SampleCount", *stats))


def cells(metric: Metric, of: Dimensions, seen: Mapping[Query, Series]) -> dict[int, Query]:
    """Cell -> what to ask for it, for the cells between the smallest and the largest value."""
    if metric.scale == "share":
        return {}
    _, low, high = (seen[query].values() for query in overview(metric, of))
    if not low or not high:
        return {}
    span = range(cell(metric.scale, min(low)), cell(metric.scale, max(high)) + 1)
    return {each: Query(metric.published, of, trimmed(metric.scale, each)) for each in span}


def minutes(
    metric: Metric, of: Dimensions, seen: Mapping[Query, Series]
) -> dict[int, dict[int, float]]:
    """Minute -> cell -> count; a minute in which the metric was not reported is missing."""
    size, *rest = (seen[query] for query in overview(metric, of))
    if metric.scale == "share":
        return {at: dict(_share(total, rest[0].get(at, 0.0))) for at, total in size.items()}
    columns = {each: seen[query] for each, query in cells(metric, of, seen).items()}
    return {
        at: {each: whole(column[at]) for each, column in columns.items() if column.get(at)}
        for at in size
    }


def whole(count: float) -> float:
    """The count as an integer, if it is one: AWS's trimmed count may be a fraction."""
    return round(count) if abs(count - round(count)) < 1e-6 else count


def _share(total: float, ones: float) -> Iterator[tuple[int, float]]:
    for each, count in ((0, total - ones), (1, ones)):
        if whole(count) > 0:
            yield each, whole(count)
