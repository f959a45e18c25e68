"""How a rollout ended and who decided it: rules over what ECS, the gate and the operator wrote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from llmops_runbooks.errors import ExitCode
from llmops_runbooks.ports import GOING_BACK, Deployment
from llmops_runbooks.records import Record, deciding_call, held, last_verdict
from llmops_runbooks.strategy import is_quick


class Outcome(StrEnum):
    """The true end of a rollout; a rollback is never called a success."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    STOPPED = "stopped"
    WAITING = "waiting"
    """Under way: nobody has decided yet, or the command left before the end."""
    ALREADY_SERVING = "already_serving"
    """The release was live already; nothing was changed."""
    PLANNED = "planned"
    """A dry run; nothing was changed."""


class Decider(StrEnum):
    """Who ended the canary."""

    GATE = "gate"
    OPERATOR = "operator"
    ALARM = "alarm"
    TIMEOUT = "timeout"
    ENGINE = "engine"
    """ECS itself: tasks that did not start, targets, permissions, or no gate to ask."""


OUTCOMES = {
    "SUCCESSFUL": Outcome.PROMOTED,
    "ROLLBACK_SUCCESSFUL": Outcome.ROLLED_BACK,
    "ROLLBACK_FAILED": Outcome.ROLLBACK_FAILED,
    "STOPPED": Outcome.STOPPED,
}
NOTHING_TO_DO = frozenset({Outcome.ALREADY_SERVING, Outcome.PLANNED})


@dataclass(frozen=True)
class Result:
    """What a command that moves traffic says at its end; times are the cloud's, ISO 8601.

    `seconds_from_start_to_decision` and `decided_wall` (seconds since the epoch) are the
    machine's, None if this command did not see the decision happen. `asked` is the end the
    command wanted: `promoted`, or `rolled_back` for `llmops rollback`; any other end is exit 1.
    """

    release: str
    outcome: Outcome
    asked: Outcome = Outcome.PROMOTED
    rollout: str | None = None
    status: str | None = None
    status_reason: str = ""
    decided_by: Decider | None = None
    verdict: dict[str, Any] | None = None
    reason: str = ""
    """Why the gate decided as it did, or holds the rollout for a person."""
    held: bool = False
    """Inconclusive: the gate waits for a person's word."""
    canary_requests_at_decision: int | None = None
    started_at: str | None = None
    decided_at: str | None = None
    finished_at: str | None = None
    seconds_from_start_to_decision: float | None = None
    decided_wall: float | None = None
    evidence: str | None = None
    plan: dict[str, Any] | None = None

    @property
    def exit_code(self) -> ExitCode:
        if self.outcome is self.asked or self.outcome in NOTHING_TO_DO:
            return ExitCode.DONE
        return ExitCode.UNDECIDED if self.outcome is Outcome.WAITING else ExitCode.FAILED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def outcome_of(deployment: Deployment) -> Outcome:
    """The word for a deployment's status; a status nobody knows is not done."""
    return OUTCOMES.get(deployment.status, Outcome.WAITING)


def decided_by(
    deployment: Deployment, record: Record | None, decision: Record | None
) -> Decider | None:
    """Who decided, or None while nobody has."""
    if deployment.status in GOING_BACK or deployment.status in {"STOPPED", "STOP_REQUESTED"}:
        return _who_rolled_back(deployment, record, decision)
    said = (record or {}).get("decided_by")
    if said:
        return Decider(said)
    if deployment.status != "SUCCESSFUL" and deployment.target.weight < 100:
        return None
    by_hand = _word(decision) == "promote" or is_quick(deployment.configuration)
    return Decider.OPERATOR if by_hand else Decider.ENGINE


def _who_rolled_back(
    deployment: Deployment, record: Record | None, decision: Record | None
) -> Decider:
    reason = f"{deployment.reason} {deployment.rollback_reason}".lower()
    if "timed out" in reason:
        return Decider.TIMEOUT
    if "alarm" in reason or deployment.alarm_status == "TRIGGERED":
        return Decider.ALARM
    if _word(decision) == "rollback":
        return Decider.OPERATOR
    if _gate_refused(record):
        return Decider.GATE
    return Decider.OPERATOR if deployment.stopped_at else Decider.ENGINE


def _gate_refused(record: Record | None) -> bool:
    """Whether the gate itself failed the rollout, on a verdict or on the golden set."""
    calls = (record or {}).get("calls", ())
    refused = any(call["hook_status"] == "FAILED" for call in calls)
    return refused and (record or {}).get("decided_by") == "gate"


def reason_of(record: Record | None, decision: Record | None, decider: Decider | None) -> str:
    """Why the gate failed the rollout, let it pass or holds it; "" if others decided."""
    if told := held(record, decision):
        return told
    call = deciding_call(record) if decider is Decider.GATE else None
    return str(call["reason"]) if call else ""


def verdict_at_decision(record: Record | None) -> dict[str, Any] | None:
    found = last_verdict(record)
    return dict(found) if found else None


def canary_requests(record: Record | None) -> int | None:
    """How many requests of the canary the last verdict rests on."""
    verdict = last_verdict(record)
    return int(verdict["requests"]["canary"]) if verdict else None


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def decided_at(
    deployment: Deployment, record: Record | None, decision: Record | None
) -> str | None:
    """When it was decided, by the cloud's clock, if anybody wrote it down."""
    decider = decided_by(deployment, record, decision)
    if decider in (Decider.ALARM, Decider.TIMEOUT, Decider.ENGINE):
        return iso(deployment.rollback_started_at)
    if decision:
        return str(decision["at"])
    call = deciding_call(record) if decider is Decider.GATE else None
    return str(call["at"]) if call else None


def _word(decision: Record | None) -> str:
    return str((decision or {}).get("decision", ""))
