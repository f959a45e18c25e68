"""The golden set as a watcher sees it, and a canary that the gate holds for a person."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_runbooks.attach import attach
from llmops_runbooks.errors import ExitCode
from llmops_runbooks.memory.gate import GOLDEN
from llmops_runbooks.narration import WORDS, Mark
from llmops_runbooks.outcome import Decider, Outcome
from llmops_runbooks.promote import Word, promote
from llmops_runbooks.records import held
from llmops_runbooks.release import release
from llmops_runbooks.rollback import rollback
from llmops_runbooks.serving import serving, under_way
from llmops_runbooks.status import status

ME = Word("ada", "looked at the answers")


def told(desk: Any, step: str) -> list[Any]:
    return [event for event in desk.events if event.step == step]


def hold(desk: Any) -> Any:
    desk.memory.gate.words = ("wait", "hold")
    return release(desk.job("1.2.0"))


def test_the_golden_set_is_told_while_it_is_asked_and_once_when_it_has_passed(desk: Any) -> None:
    desk.memory.gate.golden = ("IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED")
    assert release(desk.job("1.2.0")).outcome is Outcome.PROMOTED
    lines = [(event.text, event.mark) for event in told(desk, "golden set")]
    assert lines == [(GOLDEN["IN_PROGRESS"], Mark.NOW), (GOLDEN["SUCCEEDED"], Mark.DONE)]


def test_a_release_that_fails_the_golden_set_was_rolled_back_by_the_gate(desk: Any) -> None:
    desk.memory.gate.golden = ("FAILED",)
    before = serving(desk.memory.cloud).release
    found = release(desk.job("1.1.0"))
    assert (found.outcome, found.decided_by, found.exit_code) == (
        Outcome.ROLLED_BACK,
        Decider.GATE,
        ExitCode.FAILED,
    )
    assert (found.reason, found.verdict) == (GOLDEN["FAILED"], None)
    assert found.decided_at is not None
    assert serving(desk.memory.cloud).release == before
    assert told(desk, "golden set")[0].mark is Mark.FAILED
    assert told(desk, "decision")[0].text == f"by the gate: {GOLDEN['FAILED']}"
    assert not told(desk, "canary 10 %")


def test_a_held_canary_ends_the_release_command_with_exit_code_3(desk: Any) -> None:
    found = hold(desk)
    assert (found.outcome, found.held, found.exit_code) == (
        Outcome.WAITING,
        True,
        ExitCode.UNDECIDED,
    )
    assert found.decided_by is None
    assert found.evidence is None
    last = desk.events[-1]
    assert (last.step, last.mark) == ("canary 10 %", Mark.WAITING)
    assert last.text.startswith(f"waiting for a person: {found.reason}")
    assert last.text.endswith(WORDS)


def test_status_shows_that_a_canary_is_held_and_what_to_say(desk: Any) -> None:
    found = hold(desk)
    shown = status(desk.memory.cloud)
    assert shown.rollout is not None
    assert (shown.rollout.held, shown.next) == (found.reason, WORDS)
    assert "waiting for a person" in shown.rollout.text


def test_whoever_comes_back_to_a_held_canary_is_told_so_and_leaves(desk: Any) -> None:
    hold(desk)
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    found = attach(desk.memory.cloud, rollout, desk.settings, folder=desk.project)
    assert (found.held, found.exit_code) == (True, ExitCode.UNDECIDED)


def test_promote_ends_the_hold_and_stays_to_the_end(desk: Any) -> None:
    hold(desk)
    rollout = promote(desk.memory.cloud, ME)
    found = attach(desk.memory.cloud, rollout, desk.settings, folder=desk.project)
    assert (found.outcome, found.decided_by) == (Outcome.PROMOTED, Decider.OPERATOR)
    assert (found.held, found.reason) == (False, "")


def test_rollback_ends_the_hold(desk: Any) -> None:
    hold(desk)
    found = rollback(desk.job(""), ME)
    assert (found.outcome, found.decided_by, found.exit_code) == (
        Outcome.ROLLED_BACK,
        Decider.OPERATOR,
        ExitCode.DONE,
    )


def test_a_held_canary_that_turns_bad_is_still_rolled_back(desk: Any) -> None:
    hold(desk)
    desk.memory.gate.words = ("rollback",)
    rollout = under_way(desk.memory.cloud)
    assert rollout is not None
    desk.memory.clock.wait(1)
    found = attach(desk.memory.cloud, rollout, desk.settings, folder=desk.project)
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.GATE)


def call(status: str, decision: str | None, reason: str = "why") -> dict[str, Any]:
    verdict = {"decision": decision} if decision else None
    return {"hook_status": status, "verdict": verdict, "reason": reason}


@pytest.mark.parametrize(
    ("calls", "decision", "expected"),
    [
        ([call("IN_PROGRESS", "inconclusive")], None, "why"),
        ([call("IN_PROGRESS", "inconclusive")], {"decision": "promote"}, None),
        ([call("IN_PROGRESS", "inconclusive"), call("IN_PROGRESS", "wait")], None, None),
        ([call("IN_PROGRESS", None)], None, None),
        ([call("FAILED", "inconclusive")], None, None),
        ([], None, None),
    ],
)
def test_held_is_an_inconclusive_verdict_in_the_last_call_that_nobody_has_answered(
    calls: Any, decision: Any, expected: str | None
) -> None:
    assert held({"calls": calls}, decision) == expected
