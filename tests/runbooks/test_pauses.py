"""Manual promotion: the pause before the canary is the watcher's, the one after is a person's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmops_runbooks.attach import attach
from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.outcome import Decider, Outcome
from llmops_runbooks.promote import START_CANARY, Word, intention, promote
from llmops_runbooks.release import release
from llmops_runbooks.rollback import rollback
from llmops_runbooks.serving import serving, under_way
from llmops_runbooks.settings import Environment
from llmops_runbooks.watch import before_the_canary

ME = Word("ada", "the answers are better")
NAMES = ["PRODUCTION_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"]


@pytest.fixture(autouse=True)
def gate_agrees(desk: Any) -> None:
    desk.memory.gate.words = ("promote",)


@pytest.mark.parametrize("name", NAMES)
def test_a_person_promotes_whatever_the_stage_is_called_while_it_pauses(
    desk: Any, manual: Environment, name: str
) -> None:
    desk.memory.behaviour.pause_stage = name
    desk.on("waiting for a person", lambda: promote(desk.memory.cloud, ME))
    found = release(desk.job("1.2.0", settings=manual))
    assert (found.outcome, found.exit_code) == (Outcome.PROMOTED, ExitCode.DONE)


@pytest.mark.parametrize("name", NAMES)
def test_the_canary_waits_for_a_person_and_without_wait_the_command_leaves_with_exit_3(
    desk: Any, manual: Environment, name: str
) -> None:
    desk.memory.behaviour.pause_stage = name
    found = release(desk.job("1.2.0", settings=manual, hold=False))
    assert (found.outcome, found.exit_code) == (Outcome.WAITING, ExitCode.UNDECIDED)
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    assert (rollout.target.weight, len(rollout.pauses)) == (10.0, 1)


def test_a_person_rolls_a_paused_canary_back(desk: Any, manual: Environment) -> None:
    before = serving(desk.memory.cloud).release
    release(desk.job("1.2.0", settings=manual, hold=False))
    found = rollback(desk.job(""), Word("ada", "tone"))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.OPERATOR)
    assert found.exit_code is ExitCode.DONE  # it is what was asked
    assert serving(desk.memory.cloud).release == before


def test_a_pause_nobody_answers_times_out_and_rolls_back(desk: Any, manual: Environment) -> None:
    desk.memory.behaviour.pause_looks = 5
    found = release(desk.job("1.2.0", settings=manual))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.TIMEOUT)


def test_a_live_canary_is_never_continued_by_the_watcher_even_if_its_weight_shows_late(
    desk: Any, manual: Environment
) -> None:
    release(desk.job("1.2.0", settings=manual, hold=False))
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    lagging = replace(rollout, target=replace(rollout.target, weight=0.0))
    assert not before_the_canary(desk.memory.cloud, lagging)


def test_promote_at_the_pause_before_the_canary_starts_the_canary_and_promotes_nothing(
    desk: Any, manual: Environment
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    desk.on("pause before the canary", interrupt)
    assert release(desk.job("1.2.0", settings=manual)).outcome is Outcome.WAITING
    assert intention(desk.memory.cloud)[1] == START_CANARY
    rollout = promote(desk.memory.cloud, ME)
    assert desk.memory.artifacts.get(f"rollouts/{rollout.id}/decision.json") is None
    desk.on("waiting for a person", interrupt)
    cloud, folder = desk.memory.cloud, desk.project
    found = attach(cloud, rollout, manual, folder=folder, tell=desk.hear)
    assert found.outcome is Outcome.WAITING
    now = under_way(cloud)
    assert now is not None
    assert now.target.weight == 10.0


def test_ctrl_c_detaches_and_the_rollout_goes_on(desk: Any, settings: Environment) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    desk.on("canary 10 %", interrupt)
    found = release(desk.job("1.2.0"))
    assert (found.outcome, found.exit_code) == (Outcome.WAITING, ExitCode.UNDECIDED)
    assert "llmops status --watch" in desk.events[-2].text + desk.events[-1].text
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    again = attach(desk.memory.cloud, rollout, settings, folder=desk.project)
    assert again.outcome is Outcome.PROMOTED


def test_promote_with_nothing_under_way_is_a_usage_error(desk: Any) -> None:
    with pytest.raises(UsageError, match="nothing to promote: no rollout is under way"):
        promote(desk.memory.cloud, ME)


def test_promote_before_the_canary_has_traffic_is_a_usage_error(desk: Any) -> None:
    release(desk.job("1.2.0", hold=False))
    with pytest.raises(UsageError, match="nothing to promote yet"):
        promote(desk.memory.cloud, ME)


def test_promote_while_it_bakes_is_a_usage_error(desk: Any) -> None:
    caught: list[UsageError] = []

    def too_late() -> None:
        with pytest.raises(UsageError, match="has 100 % already") as error:
            promote(desk.memory.cloud, ME)
        caught.append(error.value)

    desk.on("bake", too_late)
    release(desk.job("1.2.0"))
    assert len(caught) == 1
