"""`release`: what it sends, what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.candidate import REGISTERED
from llmops_runbooks.errors import CloudError, ExitCode
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.memory.scene import ROLE
from llmops_runbooks.outcome import Decider, Outcome
from llmops_runbooks.release import plan, release
from llmops_runbooks.serving import serving
from llmops_runbooks.settings import Environment

STAGES = frozenset(
    {
        "SCALE_UP",
        "POST_SCALE_UP",
        "TEST_TRAFFIC_SHIFT",
        "PRODUCTION_TRAFFIC_SHIFT",
        "BAKE_TIME",
        "CLEAN_UP",
    }
)


def sent(memory: MemoryCloud) -> tuple[dict[str, Any], dict[str, Any]]:
    """The task definition and the configuration of the last UpdateService."""
    arn, configuration = memory.ecs.updates[-1]
    return memory.ecs.definitions[arn], dict(configuration)


def variables(definition: dict[str, Any]) -> dict[str, str]:
    pairs = definition["containerDefinitions"][0]["environment"]
    return {pair["name"]: pair["value"] for pair in pairs}


def test_a_release_the_gate_promotes_ends_promoted(desk: Any) -> None:
    found = release(desk.job("1.2.0"))
    assert (found.outcome, found.decided_by, found.exit_code) == (
        Outcome.PROMOTED,
        Decider.GATE,
        ExitCode.DONE,
    )
    assert found.status == "SUCCESSFUL"
    assert found.verdict is not None
    assert found.canary_requests_at_decision == found.verdict["requests"]["canary"] == 200
    assert serving(desk.memory.cloud).release == found.release


def test_a_release_the_gate_rejects_ends_rolled_back_and_is_never_a_success(desk: Any) -> None:
    desk.memory.gate.words = ("wait", "rollback")
    before = serving(desk.memory.cloud).release
    found = release(desk.job("1.1.0"))
    assert (found.outcome, found.decided_by, found.exit_code) == (
        Outcome.ROLLED_BACK,
        Decider.GATE,
        ExitCode.FAILED,
    )
    assert found.seconds_from_start_to_decision is not None
    assert serving(desk.memory.cloud).release == before


def test_an_inconclusive_canary_that_policy_rolls_back_was_decided_by_the_gate(desk: Any) -> None:
    desk.memory.gate.words = ("wait", "inconclusive")
    found = release(desk.job("1.1.0"))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.GATE)
    assert found.verdict is not None
    assert found.verdict["decision"] == "inconclusive"


def test_a_rejected_task_definition_is_deregistered(desk: Any) -> None:
    desk.memory.gate.words = ("rollback",)
    release(desk.job("1.1.0"))
    definition, _ = sent(desk.memory)
    assert definition["status"] == "INACTIVE"


def test_a_promoted_task_definition_stays(desk: Any) -> None:
    release(desk.job("1.2.0"))
    assert sent(desk.memory)[0]["status"] == "ACTIVE"


def test_a_rollback_that_failed_has_its_own_word(desk: Any) -> None:
    desk.memory.gate.words = ("rollback",)
    desk.memory.behaviour.rollback_fails = True
    found = release(desk.job("1.1.0"))
    assert (found.outcome, found.exit_code) == (Outcome.ROLLBACK_FAILED, ExitCode.FAILED)


def test_an_alarm_in_the_canary_rolls_back_and_is_named(desk: Any) -> None:
    desk.memory.gate.words = ("wait",)
    desk.on(
        "canary 10 %", lambda: desk.memory.alarms.state.update({"handbook-local-errors": "ALARM"})
    )
    found = release(desk.job("1.1.0"))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.ALARM)
    assert "alarm" in found.status_reason


def test_an_alarm_while_it_bakes_overrules_the_gate_that_let_it_pass(desk: Any) -> None:
    alarms = desk.memory.alarms.state
    desk.on("bake", lambda: alarms.update({"handbook-local-errors": "ALARM"}))
    found = release(desk.job("1.2.0"))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.ALARM)
    assert [event.text for event in desk.events if event.step == "decision"][1] == "by the alarm"
    assert found.finished_at is not None and found.decided_at is not None
    assert found.decided_at < found.finished_at


def test_the_candidate_is_the_live_task_definition_with_the_release_in_it(desk: Any) -> None:
    live = serving(desk.memory.cloud).task_definition
    found = release(desk.job("1.1.0"))
    definition, _ = sent(desk.memory)
    container, old = definition["containerDefinitions"][0], live["containerDefinitions"][0]
    assert container["image"].startswith("123456789012.dkr.ecr.us-east-1.amazonaws.com/handbook")
    assert "@sha256:" in container["image"]
    assert container["image"] != old["image"]
    assert container["secrets"] == old["secrets"]
    assert definition["executionRoleArn"] == live["executionRoleArn"]
    set_now = variables(definition)
    assert set_now["RELEASE"] == found.release
    assert set_now["CORPUS_URI"].startswith("s3://handbook-local-artifacts/corpus/")
    assert set_now["HOST"] == "0.0.0.0"
    assert json.loads(set_now["RELEASE_CONFIGURATION"]) == {"TOP_K": "3"}


def test_the_configuration_of_the_release_before_is_dropped(desk: Any) -> None:
    release(desk.job("1.1.0"))
    assert variables(sent(desk.memory)[0])["RELEASE_CONFIGURATION"] == '{"TOP_K":"3"}'
    release(desk.job("1.2.0"))
    assert variables(sent(desk.memory)[0])["RELEASE_CONFIGURATION"] == "{}"


def test_the_whole_deployment_configuration_is_sent_with_the_policy_of_the_settings(
    desk: Any, settings: Environment
) -> None:
    release(desk.job("1.2.0"))
    _, configuration = sent(desk.memory)
    assert configuration["strategy"] == "CANARY"
    assert configuration["maximumPercent"] == 200
    assert configuration["canaryConfiguration"] == {
        "canaryPercent": 10.0,
        "canaryBakeTimeInMinutes": 1,
    }
    assert configuration["bakeTimeInMinutes"] == 5
    assert configuration["alarms"]["enable"]
    [gate] = configuration["lifecycleHooks"]
    assert gate["roleArn"] == ROLE
    assert gate["lifecycleStages"] == ["POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"]
    assert gate["hookDetails"] == {
        "policy": settings.policy.to_settings(),
        "callback_seconds": 15,
    }


def test_only_manual_promotion_adds_a_pause(desk: Any, manual: Environment) -> None:
    desk.memory.gate.words = ("promote",)
    release(desk.job("1.1.0", settings=manual, hold=False))
    assert [hook["targetType"] for hook in sent(desk.memory)[1]["lifecycleHooks"]] == [
        "AWS_LAMBDA",
        "PAUSE",
    ]


def test_a_refused_update_leaves_no_task_definition_behind(desk: Any) -> None:
    desk.memory.behaviour.refuses_update = True
    with pytest.raises(CloudError, match="refused UpdateService"):
        release(desk.job("1.2.0"))
    newest = list(desk.memory.ecs.definitions.values())[-1]
    assert newest["status"] == "INACTIVE"


def test_a_release_that_already_serves_is_done_and_changes_nothing(desk: Any) -> None:
    found = release(desk.job("1.0.0"))
    assert (found.outcome, found.exit_code) == (Outcome.ALREADY_SERVING, ExitCode.DONE)
    assert desk.memory.ecs.updates == []


def test_a_dry_run_shows_what_would_be_sent_and_changes_nothing(desk: Any) -> None:
    objects, definitions = dict(desk.memory.artifacts.objects), len(desk.memory.ecs.definitions)
    found = plan(desk.job("1.2.0"))
    assert found.outcome is Outcome.PLANNED
    assert found.plan is not None
    assert found.plan["publish"]
    assert found.plan["deployment_configuration"]["strategy"] == "CANARY"
    assert desk.memory.artifacts.objects == objects
    assert len(desk.memory.ecs.definitions) == definitions
    assert desk.memory.registry.tags.keys() == {"1.0.0"}


def test_without_wait_the_command_leaves_once_the_rollout_runs(desk: Any) -> None:
    found = release(desk.job("1.2.0", hold=False))
    assert (found.outcome, found.exit_code) == (Outcome.WAITING, ExitCode.UNDECIDED)
    assert found.rollout is not None


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_that_vanishes_between_two_looks_changes_nothing(desk: Any, stage: str) -> None:
    desk.memory.behaviour.vanishing = frozenset({stage})
    assert release(desk.job("1.2.0")).outcome is Outcome.PROMOTED


def test_a_rollout_whose_every_stage_vanishes_still_ends_by_its_true_outcome(desk: Any) -> None:
    desk.memory.behaviour.vanishing = STAGES
    desk.memory.gate.words = ("rollback",)
    assert release(desk.job("1.1.0")).outcome is Outcome.ROLLED_BACK
    desk.memory.gate.words = ("promote",)
    assert release(desk.job("1.2.0")).outcome is Outcome.PROMOTED


@pytest.mark.parametrize("late", [0, 1, 5])
def test_lists_that_are_late_do_not_lose_the_rollout(desk: Any, late: int) -> None:
    desk.memory.behaviour.lists_late = late
    assert release(desk.job("1.2.0")).outcome is Outcome.PROMOTED


def test_the_rollout_is_told_in_one_line_per_change(desk: Any) -> None:
    release(desk.job("1.2.0"))
    told = [step for index, step in enumerate(desk.steps) if step != desk.steps[index - 1]]
    assert told == [
        "preflight",
        "publish",
        "release",
        "scale up",
        "golden set",
        "canary 10 %",
        "decision",
        "bake",
        "promoted",
        "evidence",
    ]


def test_evidence_is_written_to_the_folder_and_to_the_bucket(desk: Any) -> None:
    desk.memory.gate.words = ("rollback",)
    found = release(desk.job("1.1.0"))
    assert found.evidence is not None and found.rollout is not None
    page = Path(found.evidence)
    rollout = found.rollout.rsplit("/", 1)[-1]
    assert page == desk.project / ".llmops/evidence" / rollout / "evidence.html"
    assert page.read_text().lstrip().lower().startswith("<!doctype html")
    written = json.loads(page.with_suffix(".json").read_text())
    assert (written["outcome"], written["decided_by"]) == ("rolled_back", "gate")
    assert [step["canary"] for step in written["weights"]] == [0, 10, 0]
    stored = desk.memory.artifacts.keys(f"rollouts/{rollout}/evidence")
    assert [key.rsplit(".", 1)[-1] for key in stored] == ["html", "json"]


def test_a_candidate_whose_tasks_do_not_start_says_why(desk: Any) -> None:
    desk.memory.ecs.failures.append("CannotPullContainerError: no such image")
    release(desk.job("1.2.0"))
    (told,) = [event.text for event in desk.events if event.step == "tasks"]
    assert told == "1 of the candidate ended: CannotPullContainerError: no such image"


def test_what_a_deploy_changed_in_the_task_definition_goes_out_with_the_next_release(
    desk: Any,
) -> None:
    live = serving(desk.memory.cloud).task_definition
    shape = {key: live[key] for key in ("family", "containerDefinitions")}
    desk.memory.ecs.register({**shape, "memory": "4096"})
    release(desk.job("1.2.0"))
    definition, _ = sent(desk.memory)
    assert definition["memory"] == "4096"
    assert variables(definition)["RELEASE"].startswith("1.2.0-")


def test_a_newer_task_definition_that_asks_for_the_same_changes_nothing(desk: Any) -> None:
    live = serving(desk.memory.cloud).task_definition
    fields = {key: value for key, value in live.items() if key in REGISTERED}
    (container,) = fields["containerDefinitions"]
    shuffled = {**container, "environment": container["environment"][::-1]}
    desk.memory.ecs.register({**fields, "containerDefinitions": [shuffled]})
    assert release(desk.job("1.0.0")).outcome is Outcome.ALREADY_SERVING


def test_the_release_that_serves_goes_out_again_in_a_newer_task_definition(desk: Any) -> None:
    assert release(desk.job("1.0.0")).outcome is Outcome.ALREADY_SERVING
    live = serving(desk.memory.cloud).task_definition
    shape = {key: live[key] for key in ("family", "containerDefinitions")}
    desk.memory.ecs.register({**shape, "memory": "4096"})
    assert release(desk.job("1.0.0")).outcome is Outcome.PROMOTED
    assert release(desk.job("1.0.0")).outcome is Outcome.ALREADY_SERVING


def contamination(desk: Any) -> list[str]:
    """The labels by which the gate of the last release compares the arms' traffic."""
    _, configuration = sent(desk.memory)
    found: list[str] = configuration["lifecycleHooks"][0]["hookDetails"]["policy"]["contamination"]
    return found


def test_a_release_of_the_same_models_must_show_the_same_fingerprints(desk: Any) -> None:
    release(desk.job("1.2.0"))
    assert contamination(desk) == ["feature", "fingerprint", "cache"]


def test_a_release_of_other_models_is_not_held_up_for_their_fingerprints(desk: Any) -> None:
    file = desk.project / "releases/1.2.0/release.toml"
    file.write_text(file.read_text().replace("extractive-1", "extractive-2"))
    shown = plan(desk.job("1.2.0")).plan
    release(desk.job("1.2.0"))
    assert contamination(desk) == ["feature", "cache"]
    assert shown is not None
    [gate] = shown["deployment_configuration"]["lifecycleHooks"]
    assert gate["hookDetails"]["policy"]["contamination"] == ["feature", "cache"]


def test_models_of_a_live_release_nobody_knows_change_nothing(desk: Any) -> None:
    live = serving(desk.memory.cloud).release
    for key in (f"releases/{live}.json", f"versions/{live.rsplit('-', 1)[0]}.json"):
        desk.memory.artifacts.objects.pop(key, None)
    release(desk.job("1.2.0"))
    assert "fingerprint" in contamination(desk)
