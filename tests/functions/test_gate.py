"""The gate in AWS's contract: what it answers, remembers and records."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import llmops_functions
import llmops_judge
from llmops_functions import decide, gate
from llmops_functions.call import Call
from llmops_functions.record import Record


@pytest.fixture
def canary(world: Any) -> Any:
    """A rollout whose canary took 10 % during 12:01."""
    assert world.call(green=0, at=0)["hookStatus"] == "SUCCEEDED"
    return world


def test_the_first_deployment_of_a_service_passes(world: Any) -> None:
    world.ecs.sources = []
    assert world.call(green=0, at=0)["hookStatus"] == "SUCCEEDED"
    assert world.record()["baseline"] is None


def test_the_first_step_passes_and_remembers_the_time(world: Any) -> None:
    answer = world.call(green=0, at=0)
    assert answer["hookStatus"] == "SUCCEEDED"
    assert answer["hookDetails"]["state"] == {"started": world.ecs.now}


def test_a_bad_canary_is_rolled_back(canary: Any) -> None:
    for minute in range(1, 4):
        canary.arms(minute, errors=0.06, poor=0.35)
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    answer = canary.call(green=10, at=240)
    assert answer["hookStatus"] == "FAILED"
    record = canary.record()
    assert record["decided_by"] == "gate"
    assert record["calls"][-1]["verdict"]["decision"] == "rollback"


def test_a_good_canary_is_promoted(canary: Any) -> None:
    for minute in range(1, 6):
        canary.arms(minute)
    answer = canary.call(green=10, at=360)
    assert answer["hookStatus"] == "SUCCEEDED"
    assert canary.record()["calls"][-1]["verdict"]["decision"] == "promote"


def test_an_undecided_gate_asks_to_be_called_again_after_the_configured_seconds(
    canary: Any,
) -> None:
    canary.arms(1, n=100)
    answer = canary.call(green=10, at=200)
    assert answer["hookStatus"] == "IN_PROGRESS"
    assert answer["callBackDelay"] == 15


def test_the_minute_in_which_the_canary_first_served_is_not_judged(canary: Any) -> None:
    canary.traffic(1, "baseline", requests=900, errors=0, answers=900, poor=90)
    canary.traffic(1, "canary", requests=3, errors=3)
    canary.arms(2, n=500)
    canary.call(green=10, at=240)
    assert canary.record()["calls"][-1]["verdict"]["requests"] == {"baseline": 450, "canary": 50}


def test_a_minute_that_ended_less_than_a_minute_ago_is_not_judged_yet(canary: Any) -> None:
    canary.arms(1)
    canary.arms(2)
    canary.call(green=10, at=209)  # 12:03:59; minute 2 ended 59 s ago
    assert sum(canary.record()["calls"][-1]["verdict"]["requests"].values()) == 0
    canary.call(green=10, at=210)
    assert sum(canary.record()["calls"][-1]["verdict"]["requests"].values()) == 1000


def test_a_minute_is_never_counted_twice(canary: Any) -> None:
    canary.arms(1, n=100)
    canary.arms(2, n=100)
    for second in (210, 220, 230):
        canary.call(green=10, at=second)
    calls = canary.record()["calls"][1:]
    assert [sum(call["verdict"]["requests"].values()) for call in calls] == [100] * 3
    assert [interval["start"][11:16] for interval in canary.record()["intervals"]] == [
        "12:01",
        "12:02",
    ]


def test_a_repeated_call_gets_the_same_answer(canary: Any) -> None:
    for minute in range(1, 4):
        canary.arms(minute, n=200)
    event = canary.event(10)
    canary.ecs.now += 300
    first, second = (gate.answer(Call.parse(event), canary.aws, canary.place) for _ in "ab")
    assert first == second


def test_without_metrics_the_gate_waits_and_then_rolls_back(canary: Any) -> None:
    assert canary.call(green=10, at=300)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=3500)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=4300)["hookStatus"] == "FAILED"
    assert canary.record()["calls"][-1]["verdict"]["decision"] == "inconclusive"


def test_missing_metrics_are_no_promotion_even_if_the_policy_promotes_the_undecided(
    canary: Any,
) -> None:
    canary.details["policy"]["inconclusive"] = "promote"
    assert canary.call(green=10, at=300)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=4300)["hookStatus"] == "FAILED"


def test_an_undecided_rollout_with_data_ends_as_the_policy_says(canary: Any) -> None:
    canary.details["policy"] |= {"inconclusive": "promote", "maximum_minutes": 10}
    for minute in range(1, 14):
        canary.arms(minute, n=100)
    assert canary.call(green=10, at=900)["hookStatus"] == "SUCCEEDED"
    assert canary.record()["calls"][-1]["verdict"]["decision"] == "inconclusive"


def test_a_metric_that_is_not_reported_is_unknown_and_not_zero(canary: Any) -> None:
    for minute in range(1, 6):
        canary.traffic(minute, "baseline", requests=900, answers=900, poor=90)
        canary.traffic(minute, "canary", requests=100, answers=100, poor=10)
    assert canary.call(green=10, at=420)["hookStatus"] == "IN_PROGRESS"
    errors, quality = canary.record()["calls"][-1]["verdict"]["metrics"]
    assert errors["canary"] == {"n": 0, "value": None}
    assert quality["decision"] == "promote"
    assert canary.record()["intervals"][0]["canary"]["errors"] is None


def test_a_canary_without_requests_is_the_routers_fault_and_inconclusive(canary: Any) -> None:
    for minute in range(1, 6):
        canary.traffic(minute, "baseline", requests=900, errors=0, answers=900, poor=90)
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    assert canary.call(green=10, at=420)["hookStatus"] == "FAILED"
    verdict = canary.record()["calls"][-1]["verdict"]
    assert verdict["decision"] == "inconclusive"
    assert "the router was told 10.0 %" in verdict["reason"]


@pytest.mark.parametrize(("word", "status"), [("promote", "SUCCEEDED"), ("rollback", "FAILED")])
def test_the_operators_word_overrules_the_judge(canary: Any, word: str, status: str) -> None:
    canary.arms(1, n=100)
    canary.say(word)
    assert canary.call(green=10, at=240)["hookStatus"] == status
    record = canary.record()
    assert (record["decided_by"], record["decision"]["by"]) == ("operator", "ana")


def test_the_operators_rollback_counts_before_the_canary_has_traffic(world: Any) -> None:
    world.say("rollback")
    assert world.call(green=0, at=0)["hookStatus"] == "FAILED"


def test_the_operators_word_counts_when_metrics_cannot_be_read(canary: Any) -> None:
    canary.say("rollback")
    canary.aws = gate.Aws(canary.ecs, None, canary.aws.s3)
    assert canary.call(green=10, at=240)["hookStatus"] == "FAILED"
    assert canary.record()["decided_by"] == "operator"


def test_a_word_that_is_none_is_not_a_decision(canary: Any) -> None:
    canary.put("decision.json", '{"decision": "maybe"}')
    assert canary.call(green=10, at=240)["hookStatus"] == "IN_PROGRESS"


def test_a_gate_that_cannot_read_asks_again_and_fails_in_the_end(canary: Any) -> None:
    canary.ecs.broken = True
    statuses = [
        canary.call(green=10, at=120 + 15 * number)["hookStatus"]
        for number in range(decide.MAXIMUM_FAILURES)
    ]
    assert statuses == ["IN_PROGRESS"] * (decide.MAXIMUM_FAILURES - 1) + ["FAILED"]
    last = canary.record()["calls"][-1]
    assert "ECS did not answer" in last["reason"]
    assert last["verdict"] is None


def test_one_good_call_forgets_the_failures_before_it(canary: Any) -> None:
    canary.ecs.broken = True
    canary.call(green=10, at=120)
    canary.ecs.broken = False
    assert canary.call(green=10, at=240)["hookDetails"]["state"]["failures"] == 0


def test_a_policy_that_makes_no_sense_is_never_a_success(canary: Any) -> None:
    canary.details["policy"]["alpha"] = 7
    assert canary.call(green=10, at=120)["hookStatus"] == "IN_PROGRESS"
    assert "alpha is 7" in canary.record()["calls"][-1]["reason"]


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


def _refused(self: Any, content: Any) -> None:
    raise PermissionError("refused")


@pytest.mark.parametrize("stage", ["PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"])
def test_a_hook_called_again_during_a_rollback_passes(stage: str) -> None:
    assert gate.handler({"lifecycleStage": stage}, None) == {"hookStatus": "SUCCEEDED"}


def test_revisions_of_one_release_cannot_be_compared_and_pass(canary: Any) -> None:
    canary.ecs.releases = dict.fromkeys(canary.ecs.releases, "1.0.0-aaaaaaaa")
    assert canary.call(green=10, at=120)["hookStatus"] == "SUCCEEDED"


def test_the_record_tells_releases_weights_policy_and_intervals(canary: Any) -> None:
    for minute in range(1, 4):
        canary.arms(minute, errors=0.06)
    canary.call(green=10, at=240)
    record = canary.record()
    assert record["schema"] == 1
    assert record["rollout"].endswith("Rollout1")
    assert record["baseline"]["release"] == "1.0.0-aaaaaaaa"
    assert record["canary"]["release"] == "1.1.0-bbbbbbbb"
    assert record["policy"]["error_margin"] == 0.03
    assert [call["weights"]["canary"] for call in record["calls"]] == [0, 10]
    assert record["intervals"][1]["canary"]["errors"] == 6
    assert record["intervals"][1]["seconds"] == 60


def test_the_clients_are_made_once(world: Any) -> None:
    gate._aws.cache_clear()
    assert gate._aws() is gate._aws()
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
