"""The operator's words while a gate decides, and after everything is over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops_runbooks.attach import attach
from llmops_runbooks.conclude import tidy
from llmops_runbooks.errors import CloudError, ExitCode, UsageError
from llmops_runbooks.history import evidence_of, history
from llmops_runbooks.memory.scene import ROLE
from llmops_runbooks.outcome import Decider, Outcome
from llmops_runbooks.promote import Word, promote
from llmops_runbooks.release import release
from llmops_runbooks.rollback import rollback
from llmops_runbooks.serving import serving, under_way
from llmops_runbooks.settings import Environment
from llmops_runbooks.status import status

ME = Word("ada", "enough seen")


class Killed(BaseException):
    """The command is gone, without a chance to say or do anything."""


def kill() -> None:
    raise Killed


def start_and_die(desk: Any, version: str, at: str = "canary 10 %") -> None:
    desk.on(at, kill)
    with pytest.raises(Killed):
        release(desk.job(version))


def run_out(desk: Any) -> None:
    """Nobody looks while the engine goes on to the end."""
    while under_way(desk.memory.cloud):
        desk.memory.clock.wait(1)


def test_promote_overrules_a_gate_that_cannot_decide(desk: Any) -> None:
    desk.memory.gate.words = ("wait",)
    desk.on(" requests · ", lambda: promote(desk.memory.cloud, ME))
    found = release(desk.job("1.2.0"))
    assert (found.outcome, found.decided_by) == (Outcome.PROMOTED, Decider.OPERATOR)
    rollout = found.rollout.rsplit("/", 1)[-1] if found.rollout else ""
    said = json.loads(desk.memory.artifacts.get(f"rollouts/{rollout}/decision.json"))
    assert (said["decision"], said["by"], said["reason"]) == ("promote", "ada", "enough seen")


def test_rollback_in_the_middle_of_the_canary_stops_the_deployment(desk: Any) -> None:
    desk.memory.gate.words = ("wait",)
    start_and_die(desk, "1.2.0")
    found = rollback(desk.job(""), ME)
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.OPERATOR)
    assert found.exit_code is ExitCode.DONE


def test_the_release_command_that_watches_a_rolled_back_canary_exits_1(desk: Any) -> None:
    desk.memory.gate.words = ("wait",)
    desk.on(" requests · ", lambda: rollback(desk.job("", hold=False), ME))
    found = release(desk.job("1.2.0"))
    assert (found.outcome, found.decided_by, found.exit_code) == (
        Outcome.ROLLED_BACK,
        Decider.OPERATOR,
        ExitCode.FAILED,
    )


def test_rollback_with_a_version_is_refused_while_a_rollout_is_under_way(desk: Any) -> None:
    start_and_die(desk, "1.2.0")
    with pytest.raises(UsageError, match="under way"):
        rollback(desk.job("1.0.0"), ME)


def test_a_dry_rollback_of_a_rollout_says_what_it_would_do_and_does_nothing(desk: Any) -> None:
    start_and_die(desk, "1.2.0")
    found = rollback(desk.job(""), ME, dry_run=True)
    assert (found.outcome, found.plan) == (
        Outcome.PLANNED,
        {"action": "roll back", "hooks": []},
    )
    still = under_way(desk.memory.cloud)
    assert still is not None and still.status == "IN_PROGRESS"


def test_rollback_after_success_releases_the_release_before_at_once_without_gate_or_alarms(
    desk: Any,
) -> None:
    before = serving(desk.memory.cloud).release
    release(desk.job("1.2.0"))
    desk.memory.alarms.state["handbook-local-errors"] = "ALARM"
    found = rollback(desk.job(""), ME)
    assert (found.release, found.outcome, found.decided_by, found.exit_code) == (
        before,
        Outcome.PROMOTED,
        Decider.OPERATOR,
        ExitCode.DONE,
    )
    configuration = desk.memory.ecs.updates[-1][1]
    assert configuration["canaryConfiguration"]["canaryPercent"] == 100
    assert configuration["lifecycleHooks"] == []
    assert not configuration["alarms"]["enable"]


def test_a_release_after_a_quick_rollback_has_its_gate_and_its_alarms_again(desk: Any) -> None:
    release(desk.job("1.2.0"))
    rollback(desk.job(""), ME)
    release(desk.job("1.1.0"))
    configuration = desk.memory.ecs.updates[-1][1]
    assert [hook["targetType"] for hook in configuration["lifecycleHooks"]] == ["AWS_LAMBDA"]
    assert configuration["lifecycleHooks"][0]["roleArn"] == ROLE
    assert configuration["alarms"]["enable"]


def test_a_second_rollback_in_a_row_must_say_where_to(desk: Any) -> None:
    release(desk.job("1.2.0"))
    rollback(desk.job(""), ME)
    with pytest.raises(UsageError, match="itself a rollback"):
        rollback(desk.job(""), ME)
    assert rollback(desk.job("1.2.0"), ME).outcome is Outcome.PROMOTED


def test_rollback_of_the_first_release_is_a_usage_error(desk: Any) -> None:
    with pytest.raises(UsageError, match="nothing to roll back to"):
        rollback(desk.job(""), ME)


def test_a_killed_command_changes_nothing_and_the_rollout_ends_as_it_should(
    desk: Any, settings: Environment
) -> None:
    desk.memory.gate.words = ("wait", "wait", "rollback")
    start_and_die(desk, "1.1.0")
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    found = attach(desk.memory.cloud, rollout, settings, folder=desk.project)
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.GATE)


def lose_the_network(desk: Any, looks: int) -> None:
    desk.memory.behaviour.unreachable_looks = looks


def test_a_watcher_survives_a_network_that_comes_back(desk: Any) -> None:
    desk.on("canary 10 %", lambda: lose_the_network(desk, 5))
    assert release(desk.job("1.2.0")).outcome is Outcome.PROMOTED
    assert desk.steps.count("lost sight") == 1


def test_a_watcher_that_never_sees_aws_again_says_that_the_rollout_goes_on(desk: Any) -> None:
    desk.on("canary 10 %", lambda: lose_the_network(desk, 1000))
    with pytest.raises(CloudError, match="The rollout goes on without this command") as error:
        release(desk.job("1.2.0"))
    assert "llmops status --watch" in error.value.hint


def test_history_tells_the_truth_of_a_rollout_nobody_watched(desk: Any) -> None:
    desk.memory.gate.words = ("wait", "rollback")
    start_and_die(desk, "1.1.0")
    run_out(desk)
    newest, first = history(desk.memory.cloud)
    assert newest.release.startswith("1.1.0-")
    assert (newest.outcome, newest.decided_by) == (Outcome.ROLLED_BACK, "gate")
    assert newest.verdict == "errors 6.0% against 0.4%"
    assert (first.outcome, first.decided_by) == (Outcome.PROMOTED, "engine")


def test_the_next_release_deregisters_what_a_killed_command_left(desk: Any) -> None:
    desk.memory.gate.words = ("rollback",)
    start_and_die(desk, "1.1.0")
    run_out(desk)
    rejected = desk.memory.ecs.updates[-1][0]
    assert desk.memory.ecs.definitions[rejected]["status"] == "ACTIVE"
    desk.memory.gate.words = ("promote",)
    release(desk.job("1.2.0"))
    assert desk.memory.ecs.definitions[rejected]["status"] == "INACTIVE"


def test_tidying_twice_does_nothing_more(desk: Any) -> None:
    desk.memory.gate.words = ("rollback",)
    start_and_die(desk, "1.1.0")
    run_out(desk)
    assert len(tidy(desk.memory.cloud)) == 1
    assert tidy(desk.memory.cloud) == []


def test_evidence_can_be_written_afterwards(desk: Any) -> None:
    start_and_die(desk, "1.2.0")
    run_out(desk)
    rollout = history(desk.memory.cloud)[0].rollout
    found = evidence_of(desk.memory.cloud, rollout, folder=desk.project / "evidence")
    assert found.evidence is not None
    assert (desk.project / "evidence" / rollout / "evidence.json").is_file()


def test_evidence_of_a_rollout_that_has_not_ended_is_refused(desk: Any) -> None:
    start_and_die(desk, "1.2.0")
    rollout = history(desk.memory.cloud)[0].rollout
    with pytest.raises(UsageError, match="has not ended"):
        evidence_of(desk.memory.cloud, rollout, folder=desk.project)


def test_evidence_of_a_rollout_nobody_knows_is_a_usage_error(desk: Any) -> None:
    with pytest.raises(UsageError, match="ECS knows no rollout nope"):
        evidence_of(desk.memory.cloud, "nope", folder=desk.project)


def test_status_at_rest_shows_one_release_with_everything(desk: Any) -> None:
    shown = status(desk.memory.cloud)
    [arm] = shown.serving
    assert (arm.release[:6], arm.percent, shown.rollout) == ("1.0.0-", 100.0, None)
    assert set(shown.alarms.values()) == {"OK"}
    assert shown.tasks == {"desired": 2, "running": 2}


def test_status_in_the_canary_shows_both_arms_and_the_last_verdict(desk: Any) -> None:
    desk.memory.gate.words = ("wait",)
    start_and_die(desk, "1.2.0", at=" requests · ")
    shown = status(desk.memory.cloud)
    assert [(arm.release[:5], arm.percent) for arm in shown.serving] == [
        ("1.0.0", 90.0),
        ("1.2.0", 10.0),
    ]
    assert shown.rollout is not None and shown.rollout.verdict is not None
    assert (shown.rollout.verdict["decision"], shown.next) == ("wait", "llmops status --watch")


def test_status_names_an_alarm_that_is_missing(desk: Any) -> None:
    del desk.memory.alarms.state["handbook-local-errors"]
    assert status(desk.memory.cloud).alarms["handbook-local-errors"] == "MISSING"
