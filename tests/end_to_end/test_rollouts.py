"""Rollouts on a deployed service, under traffic, without losing a request."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from operating import Operator, wait_until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]


def test_a_bad_release_is_rolled_back_and_its_task_definition_is_gone(operator: Operator) -> None:
    before = operator.serving()
    with operator.traffic() as stop:
        ran = operator.run("release", "1.1.0", "--env", "local")
        summary = stop()
    assert (ran.code, ran.answer["outcome"]) == (1, "rolled_back"), ran.stderr
    assert ran.answer["decided_by"] == "gate"
    assert ran.answer["verdict"]["decision"] == "rollback"
    assert operator.serving() == before
    assert summary.lost == 0
    client = operator.clients().client("ecs")
    families = client.list_task_definitions(status="ACTIVE", sort="DESC")["taskDefinitionArns"]
    latest = client.describe_task_definition(taskDefinition=families[0])["taskDefinition"]
    (container,) = latest["containerDefinitions"]
    running = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert running["RELEASE"].startswith(f"{before}-")


def test_a_good_release_is_promoted(operator: Operator) -> None:
    version = operator.other()
    with operator.traffic() as stop:
        ran = operator.run("release", version, "--env", "local")
        summary = stop()
    assert (ran.code, ran.answer["outcome"]) == (0, "promoted"), ran.stderr
    assert ran.answer["decided_by"] == "gate"
    assert operator.serving() == version
    assert summary.lost == 0
    newest = operator.run("history").answer["rollouts"][0]
    assert (newest["outcome"], newest["decided_by"]) == ("promoted", "gate")


def test_a_person_promotes_through_a_pause_hook(operator: Operator) -> None:
    version = operator.other()
    manual = {"LLMOPS_CANARY__PROMOTION": "manual", "LLMOPS_JUDGE__MINIMUM_REQUESTS": "20"}
    with operator.traffic() as stop:
        release = operator.start("release", version, **manual)
        waiting = operator.wait_for_rollout(
            lambda rollout: rollout["canary_percent"] > 0 and rollout["waiting_hooks"],
            "the canary to wait for a person",
        )
        assert waiting["canary_percent"] == 10
        promoted = operator.run("promote", "--reason", "looks good", "--by", "ada")
        assert promoted.code == 0, promoted.stderr
        out, err = release.communicate(timeout=120)
        summary = stop()
    assert release.returncode == 0, f"{out}\n{err}"
    assert operator.serving() == version
    assert summary.lost == 0


def test_an_operator_rolls_back_in_the_middle_of_the_canary(operator: Operator) -> None:
    before, version = operator.serving(), operator.other()
    slow = {"LLMOPS_JUDGE__MINIMUM_REQUESTS": "100000"}
    with operator.traffic() as stop:
        release = operator.start("release", version, **slow)
        operator.wait_for_rollout(lambda rollout: rollout["canary_percent"] > 0, "the canary")
        rolled = operator.run("rollback", "--reason", "a customer called", "--by", "ada")
        out, err = release.communicate(timeout=120)
        summary = stop()
    assert rolled.answer["outcome"] == "rolled_back", rolled.stderr
    assert release.returncode == 1, f"{out}\n{err}"
    assert operator.serving() == before
    assert summary.lost == 0


def test_a_task_killed_under_traffic_is_replaced(operator: Operator) -> None:
    before = set(operator.task_pids())
    assert len(before) == 2
    with operator.traffic() as stop:
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(operator.task_pids()) - before) == 1, "another task")
        wait_until(lambda: operator.status()["tasks"]["running"] == 2, "two running tasks")
        summary = stop()
    assert summary.lost == 0


@pytest.mark.slow
def test_a_rollout_ends_as_it_should_without_the_cli(
    operator: Operator, killed: Callable[[subprocess.Popen[str]], None]
) -> None:
    version = operator.other()
    with operator.traffic() as stop:
        release = operator.start("release", version)
        operator.wait_for_rollout(lambda rollout: rollout["canary_percent"] > 0, "the canary")
        killed(release)
        wait_until(lambda: operator.status()["rollout"] is None, "the rollout to end by itself")
        summary = stop()
    assert operator.serving() == version
    assert summary.lost == 0
    newest = operator.run("history").answer["rollouts"][0]
    assert (newest["outcome"], newest["decided_by"]) == ("promoted", "gate")


@pytest.mark.slow
def test_a_deploy_moves_no_release_and_its_task_definition_waits(operator: Operator) -> None:
    before = operator.status()["serving"]
    assert operator.run("deploy", "--yes").answer["waiting_task_definition"] is None
    unchanged = operator.run("deploy", "--yes")
    assert (unchanged.code, set(unchanged.answer["stacks"].values())) == (0, {0})
    larger = operator.run("deploy", "--yes", LLMOPS_SERVICE__MEMORY_MIB="2048")
    assert larger.code == 0, larger.stderr
    assert larger.answer["waiting_task_definition"]
    assert operator.status()["serving"] == before
    with operator.traffic() as stop:
        released = operator.run("release", operator.other())
        summary = stop()
    assert released.answer["outcome"] == "promoted", released.stderr
    assert summary.lost == 0
    task = operator.clients().call(
        "ecs", "describe_task_definition", taskDefinition=operator.settings().prefix
    )["taskDefinition"]
    assert task["memory"] == "2048"


def test_traffic_tells_its_counts_as_json(operator: Operator) -> None:
    ran = operator.run("traffic", "--rate", "50", "--seconds", "1")
    assert (ran.code, ran.answer["lost"]) == (0, 0), ran.stderr
    assert sum(ran.answer["by_release"].popitem()[1].values()) == ran.answer["sent"]
