"""Who decided and how it ended: rules over data, none of them guesses."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_runbooks.errors import ExitCode
from llmops_runbooks.memory.gate import HOOK_STATUS, verdict
from llmops_runbooks.outcome import Decider, Outcome, Result, decided_by, outcome_of
from llmops_runbooks.ports import Deployment, RevisionView


def deployment(status: str, **known: Any) -> Deployment:
    weight = known.pop("weight", 0.0)
    return Deployment("arn/x", status, RevisionView("new", weight=weight), **known)


def record(word: str, decided: str | None = "gate") -> dict[str, Any]:
    calls = [{"at": "t", "hook_status": HOOK_STATUS[word], "verdict": verdict(word)}]
    return {"calls": calls, "decided_by": decided}


ROLLBACK = {"decision": "rollback", "by": "ada", "at": "t"}
PROMOTE = {"decision": "promote", "by": "ada", "at": "t"}
HOOK = "Service deployment rolled back because X lifecycle hook(s) failed."


@pytest.mark.parametrize(
    ("seen", "gate", "decision", "decider"),
    [
        (deployment("IN_PROGRESS", weight=10.0), record("wait", None), None, None),
        (deployment("IN_PROGRESS", weight=10.0), record("promote"), None, Decider.GATE),
        (deployment("IN_PROGRESS", weight=100.0), None, PROMOTE, Decider.OPERATOR),
        (deployment("SUCCESSFUL", weight=100.0), None, None, Decider.ENGINE),
        (deployment("ROLLBACK_IN_PROGRESS", reason=HOOK), record("rollback"), None, Decider.GATE),
        (
            deployment("ROLLBACK_SUCCESSFUL", reason="alarm"),
            record("wait", None),
            None,
            Decider.ALARM,
        ),
        (deployment("ROLLBACK_SUCCESSFUL", alarm_status="TRIGGERED"), None, None, Decider.ALARM),
        (
            deployment("ROLLBACK_SUCCESSFUL", reason="pause hook timed out"),
            None,
            None,
            Decider.TIMEOUT,
        ),
        (deployment("ROLLBACK_REQUESTED"), record("wait", None), ROLLBACK, Decider.OPERATOR),
        (
            deployment("ROLLBACK_SUCCESSFUL", reason="tasks failed to start"),
            None,
            None,
            Decider.ENGINE,
        ),
        # The gate let it pass, and it went wrong afterwards: not the gate's decision.
        (deployment("ROLLBACK_SUCCESSFUL", reason="x"), record("promote"), None, Decider.ENGINE),
    ],
)
def test_the_decider_is_read_from_what_was_written(
    seen: Deployment, gate: Any, decision: Any, decider: Decider | None
) -> None:
    assert decided_by(seen, gate, decision) == decider


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SUCCESSFUL", Outcome.PROMOTED),
        ("ROLLBACK_SUCCESSFUL", Outcome.ROLLED_BACK),
        ("ROLLBACK_FAILED", Outcome.ROLLBACK_FAILED),
        ("STOPPED", Outcome.STOPPED),
        ("IN_PROGRESS", Outcome.WAITING),
        ("SOMETHING_NEW", Outcome.WAITING),
    ],
)
def test_the_outcome_is_the_statuss_own_word_and_an_unknown_status_is_not_done(
    status: str, outcome: Outcome
) -> None:
    assert outcome_of(deployment(status)) is outcome


@pytest.mark.parametrize(
    ("outcome", "asked", "code"),
    [
        (Outcome.PROMOTED, Outcome.PROMOTED, ExitCode.DONE),
        (Outcome.ROLLED_BACK, Outcome.PROMOTED, ExitCode.FAILED),
        (Outcome.ROLLED_BACK, Outcome.ROLLED_BACK, ExitCode.DONE),
        (Outcome.PROMOTED, Outcome.ROLLED_BACK, ExitCode.FAILED),
        (Outcome.ROLLBACK_FAILED, Outcome.ROLLED_BACK, ExitCode.FAILED),
        (Outcome.STOPPED, Outcome.PROMOTED, ExitCode.FAILED),
        (Outcome.WAITING, Outcome.PROMOTED, ExitCode.UNDECIDED),
    ],
)
def test_the_exit_code_follows_from_what_was_asked_and_what_came(
    outcome: Outcome, asked: Outcome, code: ExitCode
) -> None:
    assert Result("1.0.0-00000000", outcome, asked=asked).exit_code is code
