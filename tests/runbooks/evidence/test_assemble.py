"""What the evidence of a rollout holds, whichever sources there were."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from told_rollouts import good_one, slow_one

from llmops_judge.replay import replay
from llmops_runbooks.evidence import assemble, schema, write
from llmops_runbooks.ports import Deployment, Hook, RevisionView

START = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
ARN = "arn:aws:ecs:us-east-1:123456789012:service-deployment/c/s/D1"


def check(evidence: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(json.dumps(evidence)))


def deployment(status: str = "IN_PROGRESS", **more: Any) -> Deployment:
    return Deployment(
        arn=ARN, status=status, target=RevisionView("green"), started_at=START, **more
    )


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def call(minute: float, canary: int, status: str, **more: Any) -> dict[str, Any]:
    return {
        "at": minutes(minute).isoformat(),
        "stage": "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "weights": {"baseline": 100 - canary, "canary": canary},
        "hook_status": status,
        "reason": f"said after {minute:g} minutes",
        "verdict": None,
        **more,
    }


def record(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema": 2, "calls": list(calls), **more}


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", ["bad", "good", "held", "wrong"])
def test_evidence_of_whole_rollouts_fits_the_published_schema(
    name: str, request: pytest.FixtureRequest
) -> None:
    check(request.getfixturevalue(name))


def test_evidence_holds_the_gates_record_key_for_key() -> None:
    story = slow_one()
    kept, evidence = story.record(), story.told()
    changed = {key for key, value in kept.items() if evidence[key] != value}
    assert changed == set()


@pytest.mark.parametrize("name", ["bad", "good", "held"])
def test_evidence_replays_to_the_same_verdicts(name: str, request: pytest.FixtureRequest) -> None:
    evidence = json.loads(json.dumps(request.getfixturevalue(name)))
    calls = replay(evidence)
    assert len(calls) > 1
    assert [each.difference for each in calls] == [None] * len(calls)


def test_who_decided_and_how_it_ended(
    bad: dict[str, Any], good: dict[str, Any], held: dict[str, Any], wrong: dict[str, Any]
) -> None:
    ends = [
        (each["outcome"], each["decided_by"], each["held"]) for each in (bad, good, held, wrong)
    ]
    assert ends == [
        ("rolled_back", "gate", False),
        ("promoted", "gate", False),
        ("waiting", None, True),
        ("rolled_back", "gate", False),
    ]


@pytest.mark.parametrize(
    ("status", "outcome", "decided_by"),
    [
        ("IN_PROGRESS", "waiting", None),
        ("SUCCESSFUL", "promoted", "engine"),
        ("ROLLBACK_SUCCESSFUL", "rolled_back", "engine"),
        ("ROLLBACK_FAILED", "rollback_failed", "engine"),
        ("STOPPED", "stopped", "engine"),
    ],
)
def test_a_rollout_the_gate_never_saw_is_told_by_its_status(
    status: str, outcome: str, decided_by: str | None
) -> None:
    evidence = assemble(deployment(status), record=None)
    check(evidence)
    assert (evidence["outcome"], evidence["decided_by"]) == (outcome, decided_by)
    invented = ("verdict", "golden", "spend", "weight", "begin", "history", "decision", "baseline")
    assert [evidence[key] for key in invented] == [None] * len(invented)
    empty = ("calls", "intervals", "peers", "served", "journal")
    assert [evidence[key] for key in empty] == [[]] * len(empty)


def test_a_first_deployment_has_no_baseline() -> None:
    evidence = assemble(
        deployment("SUCCESSFUL"), record=None, releases={"baseline": None, "canary": "1.0.0-a"}
    )
    check(evidence)
    assert evidence["baseline"] is None
    assert evidence["canary"] == {"release": "1.0.0-a", "revision": "green"}


def test_a_record_that_stops_early_is_told_as_far_as_it_goes() -> None:
    evidence = assemble(
        deployment("ROLLBACK_SUCCESSFUL", reason="tasks failed to start"),
        record=record(call(1, 0, "SUCCEEDED")),
    )
    check(evidence)
    assert evidence["decided_by"] == "engine"
    assert "ECS: tasks failed to start." in evidence["sentence"]


def test_a_record_of_another_schema_is_not_read() -> None:
    old = {"schema": 1, "intervals": [{"baseline": {"errors": 1}}], "decided_by": None}
    evidence = assemble(deployment(), record=old)
    check(evidence)
    assert evidence["intervals"] == []


def test_a_rollback_by_an_alarm_is_the_alarms_even_if_the_gate_had_passed() -> None:
    rolled_back = deployment(
        "ROLLBACK_SUCCESSFUL",
        reason="alarm fired",
        alarm_status="TRIGGERED",
        triggered_alarms=("errors",),
        rollback_started_at=minutes(7),
    )
    evidence = assemble(rolled_back, record=record(call(5, 10, "SUCCEEDED"), decided_by="gate"))
    check(evidence)
    assert evidence["decided_by"] == "alarm"
    assert "was rolled back by the alarm errors after 7 min: alarm fired." in evidence["sentence"]
    kinds = {(event["kind"], event["by"]) for event in evidence["events"]}
    assert ("alarm", "errors") in kinds


def test_the_operators_word_is_told_with_name_and_reason() -> None:
    said = {
        "decision": "promote",
        "by": "ada",
        "reason": "known slow",
        "at": minutes(9).isoformat(),
    }
    evidence = assemble(
        deployment("SUCCESSFUL", finished_at=minutes(12)),
        record=record(call(5, 10, "IN_PROGRESS"), decided_by="operator"),
        decision=said,
    )
    check(evidence)
    assert "was promoted by ada (operator) after 9 min: known slow." in evidence["sentence"]
    (word,) = (event for event in evidence["events"] if event["kind"] == "operator")
    assert (word["by"], word["text"]) == ("ada", "says promote: known slow")


def test_a_pause_that_waits_is_held_for_a_person() -> None:
    waiting = deployment(hooks=(Hook("h", "PAUSE", "AWAITING_ACTION"),))
    assert assemble(waiting, record=None)["held"]


def test_weights_are_what_the_watcher_saw() -> None:
    journal = [
        {
            "at": minutes(minute).isoformat(),
            "step": "canary",
            "text": "live",
            "weights": {"baseline": 100 - weight, "canary": weight},
        }
        for minute, weight in ((1, 0), (2, 10), (3, 10), (4, 100))
    ]
    evidence = assemble(deployment(), record=None, journal=journal)
    check(evidence)
    seen = [(point["at"][14:16], point["canary"]) for point in evidence["weights"]]
    assert seen == [("00", 0), ("02", 10), ("04", 100)]


def test_without_a_watcher_weights_follow_from_the_gates_calls_and_the_end() -> None:
    kept = record(call(1, 0, "SUCCEEDED"), call(5, 10, "FAILED"), begin=minutes(2).isoformat())
    ended = deployment("ROLLBACK_SUCCESSFUL", finished_at=minutes(9))
    evidence = assemble(ended, record=kept)
    seen = [(point["at"][14:16], point["canary"]) for point in evidence["weights"]]
    assert seen == [("00", 0), ("02", 10), ("05", 0)]


def test_the_served_share_is_counted_from_requests() -> None:
    interval = {
        "start": minutes(2).isoformat(),
        "seconds": 60,
        "baseline": {"requests": 90, "counts": {}},
        "canary": {"requests": 10, "counts": {}},
    }
    evidence = assemble(deployment(), record=record(intervals=[interval]))
    check(evidence)
    assert evidence["served"] == [{"at": minutes(2).isoformat(), "canary": 10.0, "requests": 100}]


def test_events_are_in_order_and_an_answer_that_is_repeated_is_one() -> None:
    story = good_one()
    evidence = story.told()
    times = [event["at"] for event in evidence["events"]]
    assert times == sorted(times)
    gate = [event for event in evidence["events"] if event["kind"] == "gate"]
    assert 1 < len(gate) < len(evidence["calls"])
    assert gate[-1]["text"].startswith("promote: ")


def test_a_guard_that_stays_up_is_told_once_with_the_first_moment(good: dict[str, Any]) -> None:
    verdict = {
        **good["verdict"],
        "guards": [{"guard": "contamination", "text": "Cache hits differ."}],
    }
    calls = [call(minute, 10, "IN_PROGRESS", verdict=verdict) for minute in (5, 6, 7)]
    evidence = assemble(deployment(), record=record(*calls))
    check(evidence)
    (guard,) = (event for event in evidence["events"] if event["kind"] == "guard")
    assert (guard["at"], guard["text"]) == (minutes(5).isoformat(), "Cache hits differ.")


def test_other_rules_are_asked_about_the_same_minutes(bad: dict[str, Any]) -> None:
    assert [peer["peer"] for peer in bad["peers"]] == [
        "CloudWatch alarm",
        "Argo Rollouts",
        "Kayenta",
    ]
    for peer in bad["peers"]:
        assert (peer["at"] is None) == (peer["minute"] is None)


def test_json_and_page_are_written_side_by_side(bad: dict[str, Any], tmp_path: Path) -> None:
    path = write(bad, tmp_path / "D1")
    assert path.name == "evidence.html"
    assert json.loads(path.with_suffix(".json").read_text("utf-8")) == json.loads(json.dumps(bad))
