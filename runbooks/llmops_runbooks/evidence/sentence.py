"""The verdict on a rollout in one sentence: what happened, who decided, when, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_runbooks import figures
from llmops_runbooks.moments import seconds

Json = Mapping[str, Any]

ENDINGS = {
    "promoted": "was promoted by {}",
    "rolled_back": "was rolled back by {}",
    "rollback_failed": "COULD NOT BE ROLLED BACK after {} had decided so",
    "stopped": "was stopped by {}",
}
DECIDERS = {
    "gate": "the gate",
    "alarm": "an alarm",
    "timeout": "a pause that nobody answered",
    "engine": "ECS",
    None: "nobody that is known",
}


def sentence(evidence: Json) -> str:
    """`1.1.0-77b0c4de was rolled back by the gate after 9 min: errors 6.1 % ...`"""
    ending = ENDINGS.get(evidence["outcome"])
    if ending is None:
        what = "is held for a person" if evidence["held"] else "is under way"
        return _whole(f"{name(evidence)} {what}", why(evidence))
    when = f" after {figures.duration(took)}" if (took := until_decision(evidence)) else ""
    return _whole(f"{name(evidence)} {ending.format(decider(evidence))}{when}", why(evidence))


def name(evidence: Json) -> str:
    """The release that was rolled out, or the rollout's id while that is unknown."""
    side = evidence["canary"] or {}
    return str(side.get("release") or evidence["deployment"]["id"])


def decider(evidence: Json) -> str:
    """Who decided, by name where a name is known."""
    word, by = evidence["decision"] or {}, evidence["decided_by"]
    if by == "operator":
        return f"{word['by']} (operator)" if word.get("by") else "an operator"
    triggered = evidence["deployment"]["alarms"]["triggered"]
    if by == "alarm" and triggered:
        return f"the alarm {' and '.join(triggered)}"
    return DECIDERS[by]


def why(evidence: Json) -> str:
    """The reason: the operator's, the gate's, or ECS's own, whoever decided."""
    word, by = evidence["decision"] or {}, evidence["decided_by"]
    ecs = evidence["deployment"]["status_reason"] or ""
    if by == "operator":
        return str(word.get("reason") or ecs)
    if by in {"alarm", "timeout", "engine"}:
        return str(ecs or _said(evidence))
    return _said(evidence) or str(ecs)


def _said(evidence: Json) -> str:
    """The gate's last sentence."""
    golden = evidence["golden"] or {}
    last = evidence["calls"][-1] if evidence["calls"] else {}
    if golden and not golden["passed"]:
        return str(golden["reason"])
    return str((last.get("verdict") or {}).get("reason") or last.get("reason") or "")


def decided_at(evidence: Json) -> str | None:
    """When it was decided, if anybody wrote it down."""
    by, word = evidence["decided_by"], evidence["decision"] or {}
    if by == "operator" and word.get("at"):
        return str(word["at"])
    if by in {"alarm", "timeout", "engine"}:
        started = evidence["deployment"]["rollback_started"]
        return str(started) if started else None
    decided = [call["at"] for call in evidence["calls"] if _decides(call)]
    return decided[-1] if by and decided else None


def _decides(call: Json) -> bool:
    """A call that ended the canary; the one before the canary only decides by failing."""
    return bool(call["at"]) and (
        call["hook_status"] == "FAILED"
        or (call["hook_status"] == "SUCCEEDED" and call["weights"]["canary"] > 0)
    )


def until_decision(evidence: Json) -> float | None:
    """Seconds from the start of the rollout to the decision."""
    started, decided = evidence["deployment"]["started"], decided_at(evidence)
    return max(0.0, seconds(decided) - seconds(started)) if started and decided else None


def _whole(what: str, reason: str) -> str:
    reason = reason.strip().rstrip(".")
    if len(reason) > 1 and reason[1].islower():
        reason = reason[0].lower() + reason[1:]
    return f"{what}: {reason}." if reason else f"{what}."
