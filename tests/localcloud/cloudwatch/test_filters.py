"""Metric filters: which lines match, what value they give, and that alarms see it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from llmops_localcloud.cloudwatch.filters import (
    PatternError,
    compiled,
    dimensions_of,
    value_of,
)

LINE = '{"Cost": 0.25, "kind": "budget spent", "percent": 100, "ok": true, "a": {"b": [7, 8]}}'
REPORT = (
    "REPORT RequestId: 1-2 Duration: 5.1 ms Billed Duration: 6 ms Memory Size: 128 MB "
    "Max Memory Used: 40 MB Init Duration: 312.5 ms"
)
COLD = (
    '[report="REPORT", id_label, id, duration_label, duration, ms, billed, billed_label, '
    "billed_duration, billed_ms, memory, size_label, size, size_mb, max, max_memory, used_label, "
    'used, used_mb, init="Init", init_label, init_duration, ...]'
)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("{ $.Cost = * }", True),
        ("{ $.Missing = * }", False),
        ("{ ($.Cost = *) && ($.percent = 100) }", True),
        ("{ $.percent >= 100.5 || $.a.b[1] = 8 }", True),
        ('{ $.kind = "budget *" && $.ok IS TRUE }', True),
        ("{ $.kind != budget* }", False),
        ("{ $.Missing NOT EXISTS }", True),
        ('"budget spent" -refused', True),
        ("budget refused", False),
        ("", True),
    ],
)
def test_what_matches(pattern: str, matches: bool) -> None:
    assert (compiled(pattern)(LINE) is not None) is matches
    assert compiled("{ $.Cost = * }")("not JSON") is None


def test_words_in_their_places_are_named() -> None:
    fields = compiled(COLD)(REPORT)
    assert fields is not None and value_of("$init_duration", fields) == 312.5
    assert compiled(COLD)(REPORT.partition(" Init")[0]) is None


def test_a_value_is_a_constant_or_a_number_of_the_line() -> None:
    fields = compiled("{ $.Cost = * }")(LINE)
    assert fields is not None
    assert [value_of(named, fields) for named in ("1", "$.Cost", "$.a.b[0]")] == [1, 0.25, 7]
    assert [value_of(named, fields) for named in ("$.kind", "$.ok", "$.none")] == [None] * 3
    named = {"kind": "$.kind", "unknown": "$.none"}
    assert dimensions_of(named, fields) == {"kind": "budget spent"}


@pytest.mark.parametrize("pattern", ["{ $.a }", "{ Cost = 1 }", "{ ($.a = 1 }", "[a b]", "%x%"])
def test_a_pattern_that_is_not_read_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="filter pattern"):
        compiled(pattern)


def test_the_lines_of_a_group_become_values_of_its_filters_metrics(cloud: Any, clock: Any) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/llmops/filtered")
    logs.put_metric_filter(
        logGroupName="/llmops/filtered",
        filterName="spend",
        filterPattern="{ $.Cost = * }",
        metricTransformations=[
            {"metricName": "Spend", "metricNamespace": "llmops/handbook", "metricValue": "$.Cost"}
        ],
    )
    at = datetime(2026, 3, 1, 11, tzinfo=UTC).timestamp()
    for line in (LINE, LINE, "nothing", '{"Cost": "much"}'):
        cloud.watch.logs.line("/llmops/filtered", "task/1", line, at)
    clock.move(hours=1)
    [point] = cloud.client().get_metric_statistics(
        Namespace="llmops/handbook",
        MetricName="Spend",
        StartTime=datetime(2026, 3, 1, 11, tzinfo=UTC),
        EndTime=datetime(2026, 3, 1, 13, tzinfo=UTC),
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert (point["Sum"], point["SampleCount"]) == (0.5, 2)
