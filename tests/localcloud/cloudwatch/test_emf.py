"""Log lines in embedded metric format become metrics; every line becomes a log event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from llmops_localcloud.cloudwatch.emf import extract

REAL_MS = 1772366400500  # 2026-03-01 12:00:00.5 UTC


def document(**members: Any) -> dict[str, Any]:
    return {
        "_aws": {
            "Timestamp": REAL_MS,
            "CloudWatchMetrics": [
                {
                    "Namespace": "llmops",
                    "Dimensions": [["service", "release"], ["service"], []],
                    "Metrics": [
                        {"Name": "Requests", "Unit": "Count"},
                        {"Name": "Latency", "Unit": "Milliseconds"},
                        {"Name": "Quality"},
                    ],
                }
            ],
        },
        "service": "handbook",
        "release": "1.0.0-abc",
        "Requests": 1,
        **members,
    }


def test_scalars_arrays_and_several_dimension_sets() -> None:
    found = extract(json.dumps(document(Latency=[10, 20.5])))
    assert [(d.name, d.dimensions, d.values, d.unit) for d in found[:2]] == [
        ("Requests", {"service": "handbook", "release": "1.0.0-abc"}, (1.0,), "Count"),
        ("Requests", {"service": "handbook"}, (1.0,), "Count"),
    ]
    assert {d.name for d in found} == {"Requests", "Latency"}
    assert found[3].values == (10.0, 20.5)
    assert len(found) == 6
    assert found[0].real_epoch_seconds == REAL_MS / 1000


def test_what_is_not_emf_gives_no_metrics() -> None:
    for line in ("", "plain", '{"a": 1}', '"_aws"', '{"_aws": 1}', '{"_aws": {}} tail'):
        assert extract(line) == []
    assert extract(json.dumps(document(Requests="many", Quality=True))) == []


def test_a_line_is_a_log_event_at_virtual_time_and_its_metrics_too(cloud: Any, clock: Any) -> None:
    lines = ["started", json.dumps(document(Latency=12))]
    for line in lines:
        cloud.watch.logs.line("/llmops/handbook", "task/1", line, REAL_MS / 1000)
    clock.move(hours=2)
    logs = cloud.client("logs")
    events = logs.get_log_events(logGroupName="/llmops/handbook", logStreamName="task/1")["events"]
    assert [event["message"] for event in events] == lines
    assert {event["timestamp"] for event in events} == {REAL_MS + 3_600_000}
    assert logs.filter_log_events(logGroupName="/llmops/handbook", filterPattern="started")
    streams = logs.describe_log_streams(logGroupName="/llmops/handbook")["logStreams"]
    assert streams[0]["logStreamName"] == "task/1"
    at = datetime.fromtimestamp(REAL_MS / 1000, UTC) + timedelta(hours=1)
    found = cloud.client().get_metric_statistics(
        Namespace="llmops",
        MetricName="Latency",
        Dimensions=[
            {"Name": "release", "Value": "1.0.0-abc"},
            {"Name": "service", "Value": "handbook"},
        ],
        StartTime=at - timedelta(minutes=5),
        EndTime=at + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [(p["Timestamp"], p["Sum"], p["Unit"]) for p in found] == [
        (at.replace(second=0, microsecond=0), 12.0, "Milliseconds")
    ]
