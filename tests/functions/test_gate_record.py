"""What the gate remembers and records, and what it answers when one of both fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops_functions import awstime, call, decide, gate
from llmops_functions.record import Record
from llmops_judge import Judge, Minute, Policy, Sample

BLUE = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook/handbook/1"
BASELINE = "1.0.0-aaaaaaaa"


# Failures of its own


def test_a_gate_that_cannot_read_asks_again_and_fails_in_the_end(canary: Any) -> None:
    canary.ecs.broken = True
    statuses = [
        canary.call(green=10, at=120 + 15 * number)["hookStatus"]
        for number in range(decide.MAXIMUM_FAILURES)
    ]
    assert statuses == ["IN_PROGRESS"] * (decide.MAXIMUM_FAILURES - 1) + ["FAILED"]
    assert "ECS did not answer" in canary.last["reason"]
    assert canary.last["verdict"] is None
    assert canary.record()["baseline"]["release"] == BASELINE


def test_one_good_call_forgets_the_failures_before_it(canary: Any) -> None:
    canary.ecs.broken = True
    canary.call(green=10, at=120)
    canary.ecs.broken = False
    assert canary.call(green=10, at=240)["hookDetails"]["state"]["failures"] == 0


def test_a_policy_that_makes_no_sense_is_never_a_success(canary: Any) -> None:
    canary.details["policy"]["alpha"] = 7
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    assert "alpha is 7" in canary.last["reason"]


def test_a_record_that_cannot_be_written_changes_no_verdict_and_is_made_up_for(
    canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary.arms(1, n=100)
    canary.arms(2, n=100)
    with monkeypatch.context() as broken:
        broken.setattr(Record, "write", _refused)
        assert canary.call(green=10, at=210)["hookStatus"] == "IN_PROGRESS"
    canary.arms(3, n=100)
    canary.call(green=10, at=270)
    starts = [interval["start"][11:16] for interval in canary.record()["intervals"]]
    assert starts == ["12:01", "12:02", "12:03"]


def test_a_call_without_time_left_answers_without_the_record(canary: Any) -> None:
    canary.seconds_left = lambda: 1.0
    assert canary.call(green=10, at=210)["hookStatus"] == "IN_PROGRESS"
    assert len(canary.record()["calls"]) == 1


def _refused(self: Any, content: Any) -> None:
    raise PermissionError("refused")


@pytest.mark.parametrize(
    "event",
    [
        {"lifecycleStage": "PRE_PRODUCTION_TRAFFIC_SHIFT"},
        {"lifecycleStage": "PRE_PRODUCTION_TRAFFIC_SHIFT", "executionDetails": "x"},
        {"lifecycleStage": "POST_TEST_TRAFFIC_SHIFT", "hookDetails": "{", "resourceArn": 7},
    ],
)
def test_a_call_that_cannot_be_understood_is_never_a_success_and_ends(
    world: Any, event: dict[str, Any]
) -> None:
    statuses = []
    for _ in range(decide.MAXIMUM_FAILURES):
        answer = world.answer(event)
        statuses.append(answer["hookStatus"])
        event = {**event, "hookDetails": answer["hookDetails"]}
    assert statuses == ["IN_PROGRESS"] * (decide.MAXIMUM_FAILURES - 1) + ["FAILED"]


@pytest.mark.parametrize("event", [None, "text", ["list"], {"lifecycleStage": call.STAGES[1]}])
def test_a_gate_without_its_environment_never_raises_and_never_passes(
    event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARTIFACT_BUCKET", raising=False)
    monkeypatch.setattr(gate, "_aws", lambda: None)
    assert gate.handler(event, None)["hookStatus"] == "IN_PROGRESS"


# Memory


def told(world: Any) -> Any:
    """What the last call said, apart from when."""
    return {key: value for key, value in world.last.items() if key != "at"}


def rollout(world: Any, lose: Any) -> list[Any]:
    """What a whole rollout's calls say, if the state is treated so before each call."""
    world.traffic(-2, "baseline", 500, errors=3)
    world.call(green=0, at=0)
    for minute in range(1, 12):
        world.arms(minute, n=400, errors=0.05 if minute > 6 else 0.0)
    said = []
    for second in range(120, 780, 55):
        lose(world.details)
        world.call(green=10, at=second)
        said.append(told(world))
    return said


def _keep(details: dict[str, Any]) -> None: ...


def _lose(details: dict[str, Any]) -> None:
    details.pop("state", None)


def _lose_the_policy_too(details: dict[str, Any]) -> None:
    details.clear()


def _damage(details: dict[str, Any]) -> None:
    details["state"] = {**details["state"], "judge": {"minutes": "many"}}


def _cut(details: dict[str, Any]) -> None:
    details["state"] = {k: v for k, v in details["state"].items() if k not in ("judge", "history")}


def _garble(details: dict[str, Any]) -> None:
    details["state"] = "gone"


@pytest.mark.parametrize("lose", [_lose, _lose_the_policy_too, _damage, _cut, _garble])
def test_a_gate_that_lost_its_memory_finds_it_in_the_record(world: Any, lose: Any) -> None:
    expected = rollout(world, _keep)
    world.details = {**world.details, "policy": world.record()["policy"]}
    world.details.pop("state")
    for name in ("gate.json", "golden.json"):
        world.aws.s3.delete_object(Bucket="handbook-artifacts", Key=f"rollouts/Rollout1/{name}")
    world.cloudwatch.values.clear()
    assert rollout(world, lose) == expected
    assert expected[-1]["hook_status"] == "FAILED"


def test_a_state_that_is_too_large_is_not_handed_around_and_found_again(
    canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "MAXIMUM_STATE_BYTES", 1000)
    for minute in range(1, 7):
        canary.arms(minute, n=200)
    for second in (210, 270, 330, 390):
        state = canary.call(green=10, at=second)["hookDetails"]["state"]
        assert "judge" not in state
    assert canary.judged == {"baseline": 720, "canary": 80}


def test_without_record_and_state_the_minutes_are_read_again_from_the_first(
    canary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "MAXIMUM_STATE_BYTES", 1000)
    monkeypatch.setattr(Record, "write", _refused)
    for minute in range(1, 7):
        canary.arms(minute, n=200)
    for second in (210, 270, 390):
        canary.call(green=10, at=second)
    monkeypatch.undo()
    canary.call(green=10, at=400)
    assert canary.judged == {"baseline": 720, "canary": 80}


def test_the_state_of_an_hour_is_small(canary: Any) -> None:
    for minute in range(1, 62):
        canary.traffic(minute, "baseline", 45, latency=400.0 + minute)
        canary.traffic(minute, "canary", 5, latency=500.0 + 3 * minute)
    answer = canary.call(green=10, at=3790)
    assert "judge" in answer["hookDetails"]["state"]
    assert len(json.dumps(answer)) < call.MAXIMUM_STATE_BYTES


def test_the_record_replays_to_the_same_verdicts(world: Any) -> None:
    rollout(world, _keep)
    record = world.record()
    policy = Policy.from_settings(record["policy"])
    judge = Judge(policy, record["weight"])
    verdicts = [each for each in record["calls"] if each["verdict"]]
    assert len(verdicts) > 5
    for each in verdicts:
        memory = judge.start(decide.history_of(record["history"]))
        for interval in record["intervals"]:
            end = awstime.iso(awstime.epoch(interval["start"]) + interval["seconds"])
            if record["begin"] <= interval["start"] and end <= each["through"]:
                sides = (Sample.from_json(interval[arm]) for arm in ("baseline", "canary"))
                memory = judge.minute(memory, Minute(*sides))
        found = judge.verdict(memory, elapsed_minutes=each["elapsed_minutes"]).to_json()
        assert found == each["verdict"]


# Missing data, and what scoring cost


def test_a_metric_that_is_not_reported_is_unknown_and_not_zero(canary: Any) -> None:
    for minute in range(1, 6):
        for arm, n in (("baseline", 900), ("canary", 100)):
            for metric in ("Requests", "Answers"):
                canary.publish(minute, arm, metric, [1.0] * n)
            canary.publish(minute, arm, "Quality", [0.9] * n)
    assert canary.call(green=10, at=420)["hookStatus"] == "IN_PROGRESS"
    metrics = {each["metric"]: each for each in canary.last["verdict"]["metrics"]}
    assert (metrics["errors"]["canary"]["n"], metrics["errors"]["canary"]["value"]) == (0, None)
    assert metrics["quality"]["canary"]["n"] == 400
    assert "errors" not in canary.record()["intervals"][0]["canary"]["counts"]


def test_what_scoring_cost_is_added_up_once(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.arms(2, n=100)
    canary.publish(1, "baseline", "ScoringSpend", [100.0, 50.0])
    canary.publish(2, "canary", "ScoringSpend", [25.0])
    for second in (150, 210, 220):
        canary.call(green=10, at=second)
    assert canary.record()["spend"] == {"baseline": 150, "canary": 25}


def test_a_rollout_without_scoring_reports_no_spend(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.call(green=10, at=210)
    assert canary.record()["spend"] is None


# The record


def test_of_calls_that_say_the_same_the_first_and_the_last_are_kept(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.arms(2, n=100)
    for second in (210, 220, 230, 260):
        canary.call(green=10, at=second)
    canary.arms(3, n=100)
    canary.call(green=10, at=290)
    times = [each["at"][14:19] for each in canary.record()["calls"][1:]]
    assert times == ["04:00", "04:50", "05:20"]


def test_the_record_tells_releases_weights_policy_and_intervals(canary: Any) -> None:
    for minute in range(1, 4):
        canary.arms(minute, errors=0.06)
    canary.call(green=10, at=240)
    record = canary.record()
    assert set(record) == {
        *("schema", "rollout", "service", "environment", "baseline", "canary", "policy"),
        *("weight", "begin", "history", "golden", "spend", "calls", "intervals", "decision"),
        "decided_by",
    }
    assert record["schema"] == 2
    assert record["rollout"].endswith("Rollout1")
    assert record["baseline"] == {"release": BASELINE, "revision": BLUE}
    assert record["canary"]["release"] == "1.1.0-bbbbbbbb"
    assert record["policy"] == Policy.from_settings(canary.details["policy"]).to_settings()
    assert (record["weight"], record["begin"][11:16]) == (0.1, "12:02")
    assert [each["weights"]["canary"] for each in record["calls"]] == [0, 10]
    assert record["calls"][1]["through"][11:16] == "12:03"
    assert record["intervals"][1]["canary"]["counts"]["errors"] == {"0": 94, "1": 6}
    assert record["intervals"][1]["seconds"] == 60


def test_a_step_to_another_weight_is_judged_from_its_own_beginning(canary: Any) -> None:
    for minute in range(1, 12):
        canary.arms(minute, n=50)
    canary.call(green=10, at=300)
    assert canary.record()["begin"][11:16] == "12:02"
    canary.call(green=20, at=345)
    record = canary.record()
    assert (record["weight"], record["begin"]) == (0.2, None)
    canary.call(green=20, at=600)
    assert canary.record()["begin"][11:16] == "12:07"


def test_a_record_of_another_schema_is_begun_anew(canary: Any) -> None:
    canary.put("rollouts/Rollout1/gate.json", '{"schema": 1, "calls": [], "intervals": []}')
    canary.call(green=10, at=210)
    assert (canary.record()["schema"], len(canary.record()["calls"])) == (2, 1)
