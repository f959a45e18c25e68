"""The gate in AWS's contract: what it answers."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import llmops_functions
import llmops_judge
from llmops_functions import call, decide, gate

BASELINE = "1.0.0-aaaaaaaa"


def test_the_first_deployment_of_a_service_passes(world: Any) -> None:
    world.ecs.sources = []
    assert world.call(green=0, at=0)["hookStatus"] == "SUCCEEDED"
    assert world.record()["baseline"] is None


def test_the_first_step_passes_and_remembers_the_time(world: Any) -> None:
    answer = world.call(green=0, at=0)
    assert answer["hookStatus"] == "SUCCEEDED"
    assert answer["hookDetails"]["state"]["started"] == world.ecs.now


def test_the_first_step_remembers_what_the_baseline_did_in_the_hour_before(world: Any) -> None:
    for minute in (-70, -50, -2):
        world.traffic(minute, "baseline", 100, errors=1)
    world.call(green=0, at=0)
    history = world.record()["history"]
    assert history["requests"] == 200
    assert history["counts"]["errors"] == {"0": 198, "1": 2}
    assert world.details["state"]["history"] == history


def test_the_judge_takes_the_history_over(world: Any) -> None:
    world.traffic(-2, "baseline", 100, errors=1)
    world.call(green=0, at=0)
    world.arms(1, n=100)
    world.call(green=10, at=210)
    assert "history" not in world.details["state"]
    assert world.record()["history"]["requests"] == 100


def test_a_canary_is_not_started_blind(world: Any) -> None:
    world.cloudwatch.broken = True
    assert world.call(green=0, at=0)["hookStatus"] == "IN_PROGRESS"
    world.cloudwatch.broken = False
    assert world.call(green=0, at=15)["hookStatus"] == "SUCCEEDED"
    assert world.details["state"]["failures"] == 0


def test_a_bad_canary_is_rolled_back(canary: Any) -> None:
    for minute in range(1, 5):
        canary.arms(minute, errors=0.10, poor=0.35)
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=300)["hookStatus"] == "FAILED"
    assert canary.record()["decided_by"] == "gate"
    assert canary.last["verdict"]["decision"] == "rollback"


def test_a_slow_canary_is_rolled_back_by_the_histogram_of_its_latency(canary: Any) -> None:
    canary.details["policy"]["metrics"]["latency"]["mode"] = "rollback"
    for minute in range(1, 5):
        canary.traffic(minute, "baseline", 900)
        canary.traffic(minute, "canary", 100, latency=900.0)
    assert canary.call(green=10, at=300)["hookStatus"] == "FAILED"
    assert canary.last["reason"].startswith("Latency p95")


def test_a_good_canary_is_promoted(canary: Any) -> None:
    for minute in range(1, 20):
        canary.arms(minute)
    assert canary.call(green=10, at=1200)["hookStatus"] == "SUCCEEDED"
    assert canary.last["verdict"]["decision"] == "promote"


def test_a_good_canary_waits_for_the_minutes_that_the_policy_wants(canary: Any) -> None:
    canary.details["policy"]["minimum_minutes"] = 18
    for minute in range(1, 25):
        canary.arms(minute)
    assert canary.call(green=10, at=1190)["hookStatus"] == "IN_PROGRESS"
    assert canary.last["elapsed_minutes"] == 17
    assert canary.call(green=10, at=1250)["hookStatus"] == "SUCCEEDED"


def test_an_undecided_gate_asks_to_be_called_again_after_the_configured_seconds(
    canary: Any,
) -> None:
    canary.arms(1, n=100)
    answer = canary.call(green=10, at=200)
    assert answer["hookStatus"] == "IN_PROGRESS"
    assert answer["callBackDelay"] == 15


def test_the_minute_in_which_the_canary_first_served_is_not_judged(canary: Any) -> None:
    canary.traffic(1, "baseline", 900)
    canary.traffic(1, "canary", 3, errors=3)
    canary.arms(2, n=500)
    canary.call(green=10, at=240)
    assert canary.judged == {"baseline": 450, "canary": 50}


def test_a_minute_that_ended_less_than_a_minute_ago_is_not_judged_yet(canary: Any) -> None:
    canary.arms(1)
    canary.arms(2)
    canary.call(green=10, at=209)  # 12:03:59; minute 2 ended 59 s ago
    assert sum(canary.judged.values()) == 0
    canary.call(green=10, at=210)
    assert sum(canary.judged.values()) == 1000


def test_a_minute_is_never_counted_twice(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.arms(2, n=100)
    for second in (210, 220, 230):
        canary.call(green=10, at=second)
        assert sum(canary.judged.values()) == 100
    starts = [interval["start"][11:16] for interval in canary.record()["intervals"]]
    assert starts == ["12:01", "12:02"]


def test_a_repeated_call_gets_the_same_answer_and_counts_nothing_twice(canary: Any) -> None:
    for minute in range(1, 4):
        canary.arms(minute, n=200)
    event = canary.event(10)
    canary.ecs.now += 300
    first, second = (canary.answer(event) for _ in "ab")
    assert first == second
    assert sum(canary.judged.values()) == 400


def test_a_repeated_call_of_a_rollback_rolls_back_again(canary: Any) -> None:
    for minute in range(1, 5):
        canary.arms(minute, errors=0.10)
    event = canary.event(10)
    canary.ecs.now += 300
    assert [canary.answer(event)["hookStatus"] for _ in "ab"] == ["FAILED", "FAILED"]


# What becomes of an inconclusive rollout


def late(world: Any, **policy: Any) -> Any:
    """A rollout that saw too little within its ten minutes."""
    world.details["policy"] |= {"maximum_minutes": 10, **policy}
    for minute in range(1, 14):
        world.arms(minute, n=60)
    return world.call(green=10, at=900)


def test_an_inconclusive_rollout_is_held_for_a_person(canary: Any) -> None:
    answer = late(canary)
    assert (answer["hookStatus"], answer["callBackDelay"]) == ("IN_PROGRESS", 15)
    assert canary.last["verdict"]["decision"] == "inconclusive"
    assert canary.record()["decided_by"] is None


def test_a_held_rollout_is_still_rolled_back_when_it_turns_bad(canary: Any) -> None:
    late(canary)
    for minute in range(14, 30):
        canary.arms(minute, errors=0.15)
    assert canary.call(green=10, at=1860)["hookStatus"] == "FAILED"
    assert canary.last["verdict"]["decision"] == "rollback"


def test_a_held_rollout_ends_with_the_operators_word(canary: Any) -> None:
    late(canary)
    canary.say("promote")
    assert canary.call(green=10, at=915)["hookStatus"] == "SUCCEEDED"
    assert canary.record()["decided_by"] == "operator"


def test_an_inconclusive_rollout_is_rolled_back_if_the_policy_says_so(canary: Any) -> None:
    assert late(canary, inconclusive="rollback")["hookStatus"] == "FAILED"
    assert canary.last["verdict"]["decision"] == "inconclusive"
    assert "rolls back what is inconclusive" in canary.last["reason"]


def test_an_inconclusive_rollout_is_promoted_with_a_warning_if_the_policy_says_so(
    canary: Any,
) -> None:
    assert late(canary, inconclusive="promote")["hookStatus"] == "SUCCEEDED"
    assert "Promoted without proof" in canary.last["reason"]
    assert canary.last["verdict"]["decision"] == "inconclusive"


def test_without_metrics_the_gate_waits_and_then_holds(canary: Any) -> None:
    assert canary.call(green=10, at=300)["hookStatus"] == "IN_PROGRESS"
    assert canary.last["verdict"]["decision"] == "wait"
    assert canary.call(green=10, at=4300)["hookStatus"] == "IN_PROGRESS"
    assert canary.last["verdict"]["decision"] == "inconclusive"


def test_missing_metrics_are_no_promotion_even_if_the_policy_promotes_the_undecided(
    canary: Any,
) -> None:
    canary.details["policy"]["inconclusive"] = "promote"
    assert canary.call(green=10, at=300)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=4300)["hookStatus"] == "FAILED"
    assert "not without sound data" in canary.last["reason"]


@pytest.mark.parametrize(
    ("policy", "status"),
    [("hold", "IN_PROGRESS"), ("promote", "FAILED"), ("rollback", "FAILED")],
)
def test_a_canary_without_requests_is_the_routers_fault_and_never_promoted(
    canary: Any, policy: str, status: str
) -> None:
    canary.details["policy"]["inconclusive"] = policy
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    for minute in range(1, 6):
        canary.traffic(minute, "baseline", 900)
    assert canary.call(green=10, at=420)["hookStatus"] == status
    verdict = canary.last["verdict"]
    assert verdict["decision"] == "inconclusive"
    assert "sample_ratio" in [guard["guard"] for guard in verdict["guards"]]


@pytest.mark.parametrize("policy", ["promote", "rollback"])
def test_a_metric_for_a_person_to_look_at_holds_whatever_the_policy_does_otherwise(
    canary: Any, policy: str
) -> None:
    canary.details["policy"]["inconclusive"] = policy
    canary.details["policy"]["metrics"]["latency"]["mode"] = "pause"
    for minute in range(1, 6):
        canary.traffic(minute, "baseline", 900)
        canary.traffic(minute, "canary", 100, latency=900.0)
    assert canary.call(green=10, at=420)["hookStatus"] == "IN_PROGRESS"
    verdict = canary.last["verdict"]
    assert (verdict["decision"], verdict["hold"]) == ("inconclusive", True)


def test_a_mix_of_traffic_that_differs_between_the_arms_is_inconclusive(canary: Any) -> None:
    for minute in range(1, 8):
        canary.arms(minute)
        canary.publish(minute, "baseline", "Requests", [1.0] * 900, feature="faq")
        canary.publish(minute, "canary", "Requests", [1.0] * 100, feature="search")
    canary.call(green=10, at=540)
    guards = [guard["guard"] for guard in canary.last["verdict"]["guards"]]
    assert "contamination" in guards
    assert canary.last["verdict"]["decision"] == "inconclusive"


# The operator's word


@pytest.mark.parametrize(("word", "status"), [("promote", "SUCCEEDED"), ("rollback", "FAILED")])
def test_the_operators_word_overrules_the_judge_at_the_next_call(
    canary: Any, word: str, status: str
) -> None:
    canary.arms(1, n=100)
    assert canary.call(green=10, at=225)["hookStatus"] == "IN_PROGRESS"
    canary.say(word)
    assert canary.call(green=10, at=240)["hookStatus"] == status
    record = canary.record()
    assert (record["decided_by"], record["decision"]["by"]) == ("operator", "ana")
    assert canary.last["reason"] == f"ana decided: {word} (because)."
    assert canary.last["verdict"]["decision"] == "wait"


def test_the_operators_rollback_counts_before_the_canary_has_traffic(world: Any) -> None:
    world.say("rollback")
    assert world.call(green=0, at=0)["hookStatus"] == "FAILED"


@pytest.mark.parametrize("what", ["cloudwatch", "ecs"])
def test_the_operators_word_counts_when_nothing_else_can_be_read(canary: Any, what: str) -> None:
    canary.say("rollback")
    getattr(canary, what).broken = True
    assert canary.call(green=10, at=240)["hookStatus"] == "FAILED"
    assert canary.record()["decided_by"] == "operator"


@pytest.mark.parametrize("text", ['{"decision": "maybe"}', "[1]", "promote"])
def test_a_word_that_is_none_is_not_a_decision(canary: Any, text: str) -> None:
    canary.put("rollouts/Rollout1/decision.json", text)
    assert canary.call(green=10, at=240)["hookStatus"] == "IN_PROGRESS"
    assert "decision.json" in canary.last["reason"]


# The way back


@pytest.mark.parametrize("stage", ["PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"])
def test_a_hook_called_again_during_a_rollback_passes(stage: str) -> None:
    assert gate.handler({"lifecycleStage": stage}, None) == {"hookStatus": "SUCCEEDED"}


@pytest.mark.parametrize("stage", call.STAGES)
@pytest.mark.parametrize(
    "status", ["ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "STOP_REQUESTED", "STOPPED"]
)
def test_a_rollout_on_its_way_back_is_let_through_whatever_was_said(
    canary: Any, stage: str, status: str
) -> None:
    canary.say("rollback")
    canary.ecs.status = status
    assert canary.call(green=0, at=240, stage=stage)["hookStatus"] == "SUCCEEDED"


def test_the_way_back_looks_like_a_first_call_and_is_let_through(canary: Any) -> None:
    """Even if ECS itself cannot be asked: the canary had a weight, and has none now."""
    for minute in range(1, 5):
        canary.arms(minute, errors=0.10)
    assert canary.call(green=10, at=300)["hookStatus"] == "FAILED"
    canary.ecs.broken = True
    for number in range(decide.MAXIMUM_FAILURES + 2):
        assert canary.call(green=0, at=310 + number)["hookStatus"] == "SUCCEEDED"
    assert canary.record()["decided_by"] == "gate"


def test_the_way_back_is_let_through_without_memory_too(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.call(green=10, at=210)
    canary.details.pop("state")
    canary.say("rollback")
    assert canary.call(green=0, at=240)["hookStatus"] == "SUCCEEDED"


def test_revisions_of_one_release_cannot_be_compared_and_pass(canary: Any) -> None:
    canary.ecs.releases = dict.fromkeys(canary.ecs.releases, BASELINE)
    assert canary.call(green=10, at=120)["hookStatus"] == "SUCCEEDED"


# The function


def test_the_clients_are_made_once_and_give_up_before_the_function_does(world: Any) -> None:
    gate._aws.cache_clear()
    assert gate._aws() is gate._aws()
    for client in vars(gate._aws()).values():
        assert client.meta.config.read_timeout == 5
    gate._aws.cache_clear()


def test_the_bundle_of_both_packages_needs_nothing_else_of_the_project(tmp_path: Path) -> None:
    bundle = tmp_path / "gate.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        for package in (llmops_functions, llmops_judge):
            folder = Path(package.__path__[0])
            for file in folder.rglob("*.py"):
                archive.write(file, file.relative_to(folder.parent))
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r});"
        "from llmops_functions.gate import handler;"
        "assert 'gate.zip' in sys.modules['llmops_judge'].__file__;"
        "assert not [name for name in sys.modules if name.startswith(('llm_service', 'pydantic'))];"
        "print(handler({'lifecycleStage': 'PRODUCTION_TRAFFIC_SHIFT'}, None))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "{'hookStatus': 'SUCCEEDED'}"
