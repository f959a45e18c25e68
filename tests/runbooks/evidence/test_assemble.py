"""What the evidence of a rollout holds, whichever sources there were."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from llmops_runbooks.evidence import assemble, schema, write

NOTHING: dict[str, Any] = {"baseline": [], "canary": []}


def check(evidence: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(evidence)))


def deployment(status: str, **more: Any) -> dict[str, Any]:
    return {
        "serviceDeploymentArn": "arn:aws:ecs:us-east-1:123456789012:service-deployment/c/s/D1",
        "status": status,
        "startedAt": "2026-11-20T14:00:00+00:00",
        "targetServiceRevision": {"arn": "green"},
        **more,
    }


def call(at: str, canary: int, status: str) -> dict[str, Any]:
    return {
        "at": f"2026-11-20T{at}+00:00",
        "stage": "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "weights": {"baseline": 100 - canary, "canary": canary},
        "hook_status": status,
        "reason": f"said at {at}",
        "verdict": None,
    }


def test_evidence_of_whole_rollouts_fits_the_published_schema(
    bad: dict[str, Any], good: dict[str, Any]
) -> None:
    check(bad)
    check(good)
    assert (bad["outcome"], bad["decided_by"]) == ("rolled back", "gate")
    assert (good["outcome"], good["decided_by"]) == ("promoted", "gate")
    assert bad["verdict"]["decision"] == "rollback"
    assert bad["reason"] == bad["verdict"]["reason"]


@pytest.mark.parametrize(
    ("status", "outcome", "decided_by"),
    [
        ("IN_PROGRESS", "under way", None),
        ("SUCCESSFUL", "promoted", None),
        ("ROLLBACK_SUCCESSFUL", "rolled back", "engine"),
        ("ROLLBACK_FAILED", "rollback failed", "engine"),
        ("STOPPED", "stopped", "engine"),
    ],
)
def test_a_rollout_the_gate_never_saw_is_told_by_its_status(
    status: str, outcome: str, decided_by: str | None
) -> None:
    evidence = assemble(rollout=deployment(status), record=None, series=NOTHING, journal=[])
    check(evidence)
    assert (evidence["outcome"], evidence["decided_by"]) == (outcome, decided_by)


def test_a_rollback_by_an_alarm_is_the_alarms_even_if_the_gate_had_passed() -> None:
    rollout = deployment(
        "ROLLBACK_SUCCESSFUL",
        statusReason="alarm fired",
        alarms={"status": "TRIGGERED", "triggeredAlarmNames": ["errors"]},
    )
    record = {"calls": [call("14:05:00", 10, "SUCCEEDED")], "decided_by": "gate"}
    evidence = assemble(rollout=rollout, record=record, series=NOTHING, journal=[])
    assert evidence["decided_by"] == "alarm"
    assert evidence["reason"] == "alarm fired"
    assert evidence["alarms"]["triggered"] == ["errors"]


def test_weights_are_what_the_watcher_saw() -> None:
    journal = [
        {"at": f"2026-11-20T14:0{minute}:00+00:00", "weights": {"canary": weight}}
        for minute, weight in ((1, 0), (2, 10), (3, 10), (4, 100))
    ]
    evidence = assemble(
        rollout=deployment("IN_PROGRESS"), record=None, series=NOTHING, journal=journal
    )
    seen = [(point["at"][14:16], point["canary"]) for point in evidence["weights"]]
    assert seen == [("00", 0), ("02", 10), ("04", 100)]


def test_without_a_watcher_weights_follow_from_the_gates_calls_and_the_end() -> None:
    record = {"calls": [call("14:01:00", 0, "SUCCEEDED"), call("14:05:00", 10, "FAILED")]}
    rollout = deployment("ROLLBACK_SUCCESSFUL", finishedAt="2026-11-20T14:09:00+00:00")
    evidence = assemble(rollout=rollout, record=record, series=NOTHING, journal=[])
    seen = [(point["at"][14:16], point["canary"]) for point in evidence["weights"]]
    assert seen == [("00", 0), ("05", 10), ("05", 0)]


def test_the_served_share_is_counted_from_requests() -> None:
    point = {"start": "2026-11-20T14:02:00+00:00", "errors": 0}
    series = {"baseline": [{**point, "requests": 90}], "canary": [{**point, "requests": 10}]}
    evidence = assemble(rollout=deployment("IN_PROGRESS"), record=None, series=series, journal=[])
    assert evidence["served"] == [{"at": "2026-11-20T14:02:00+00:00", "canary": 10.0}]


def test_without_a_series_the_gates_own_minutes_are_shown() -> None:
    arm = {
        "requests": 10,
        "errors": 1,
        "answers": 9,
        "poor": 3,
        "quality_sum": 4.5,
        "latency_sum": None,
    }
    interval = {"start": "2026-11-20T14:02:00+00:00", "seconds": 60, "baseline": arm, "canary": arm}
    evidence = assemble(
        rollout=deployment("IN_PROGRESS"),
        record={"calls": [], "intervals": [interval]},
        series=NOTHING,
        journal=[],
    )
    check(evidence)
    (point,) = evidence["series"]["canary"]
    assert (point["quality"], point["latency_avg"]) == (0.5, None)


def test_json_and_page_are_written_side_by_side(bad: dict[str, Any], tmp_path: Path) -> None:
    path = write(bad, tmp_path / "D1")
    assert path.name == "evidence.html"
    assert json.loads(path.with_suffix(".json").read_text()) == json.loads(json.dumps(bad))


def test_the_evidence_replays_to_the_same_verdict(story: Callable[..., Any]) -> None:
    first = story("1.1.0-x", errors=0.06, poor=0.35, seed=3, rate=400).told()
    second = story("1.1.0-x", errors=0.06, poor=0.35, seed=3, rate=400).told()
    assert first == second
