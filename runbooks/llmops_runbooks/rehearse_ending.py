"""What a rehearsal notes of a rollout: from what `release` returned and its evidence says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_runbooks.outcome import Result
from llmops_runbooks.rehearse import Rollout
from llmops_runbooks.rehearse_all import Ending, Spell
from llmops_runbooks.rehearse_kinds import GOLDEN, Kind

OUTAGE_GUARD = "shared_outage"


def rollout_of(found: Result) -> Rollout:
    """The rollout as a rehearsal reports it."""
    return Rollout(
        release=found.release,
        outcome=str(found.outcome),
        verdict=found.verdict["decision"] if found.verdict else None,
        decided_by=found.decided_by,
        canary_requests_at_decision=found.canary_requests_at_decision,
        seconds_from_start_to_decision=found.seconds_from_start_to_decision,
        decided_at=found.decided_wall,
        reason=(found.verdict or {}).get("reason") or found.status_reason,
        evidence=found.evidence,
    )


def ending_of(kind: Kind, found: Result, spell: tuple[float, float] | None = None) -> Ending:
    """How a kind ended; `spell` is when its outage began and ended, if it had one."""
    evidence = _evidence(found)
    calls = evidence.get("calls") or []
    stopped = bool(evidence.get("golden")) and not evidence["golden"]["passed"]
    verdict = found.verdict
    held = any(_held(call.get("verdict")) for call in calls)
    rollout = rollout_of(found)
    if stopped:
        rollout = replace(rollout, reason=evidence["golden"]["reason"])
    return Ending(
        kind=kind,
        rollout=rollout,
        metric=GOLDEN if stopped else deciding_metric(verdict),
        requests=sum(verdict["requests"].values()) if verdict else None,
        minutes=_minutes(calls),
        spell=Spell(*spell, held=held) if spell else None,
    )


def deciding_metric(verdict: Mapping[str, Any] | None) -> str | None:
    """The metric with the most evidence against the canary, of those that may roll back; None
    if the verdict is no rollback."""
    if not verdict or verdict["decision"] != "rollback":
        return None
    gating = [each for each in verdict["metrics"] if each.get("mode", "rollback") == "rollback"]
    return str(max(gating, key=lambda each: float(each["against"]["value"] or 0))["metric"])


def _minutes(calls: list[Mapping[str, Any]]) -> float | None:
    """The judged time of the last verdict."""
    told = [call["elapsed_minutes"] for call in calls if call.get("elapsed_minutes") is not None]
    return float(told[-1]) if told else None


def _held(verdict: Mapping[str, Any] | None) -> bool:
    guards = (verdict or {}).get("guards") or ()
    return any(each["guard"] == OUTAGE_GUARD for each in guards)


def _evidence(found: Result) -> dict[str, Any]:
    if found.evidence is None:
        return {}
    known: dict[str, Any] = json.loads(Path(found.evidence).with_suffix(".json").read_bytes())
    return known
