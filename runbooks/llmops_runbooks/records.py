"""What the gate and the operator wrote about a rollout: `rollouts/<deployment-id>/*.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llmops_runbooks.ports import Artifacts, Clock, Deployment

Record = Mapping[str, Any]


def gate_record(artifacts: Artifacts, rollout: str) -> Record | None:
    """The gate's record of a rollout (deployment id), or None if it was not asked yet."""
    return _read(artifacts, f"rollouts/{rollout}/gate.json")


def decision(artifacts: Artifacts, rollout: str) -> Record | None:
    """The operator's word about a rollout, or None."""
    return _read(artifacts, f"rollouts/{rollout}/decision.json")


def write_decision(
    artifacts: Artifacts,
    clock: Clock,
    deployment: Deployment,
    *,
    word: Literal["promote", "rollback"],
    by: str,
    reason: str,
) -> None:
    """The operator's word, for the gate to read and for the evidence to tell."""
    said = {"decision": word, "by": by, "reason": reason, "at": clock.now().isoformat()}
    artifacts.put(f"rollouts/{deployment.id}/decision.json", json.dumps(said).encode())


def last_verdict(record: Record | None) -> Record | None:
    """The newest verdict of a gate's record, or None."""
    verdicts = [call["verdict"] for call in (record or {}).get("calls", ()) if call.get("verdict")]
    return verdicts[-1] if verdicts else None


def elapsed_minutes(record: Record | None) -> float | None:
    """Minutes of canary traffic at the newest verdict, or None."""
    told = [call for call in (record or {}).get("calls", ()) if call.get("verdict")]
    return told[-1].get("elapsed_minutes") if told else None


GOLDEN_STAGE = "POST_TEST_TRAFFIC_SHIFT"


def last_call(record: Record | None) -> Record | None:
    """The gate's last call, or None."""
    calls: Sequence[Record] = (record or {}).get("calls", ())
    return calls[-1] if calls else None


def deciding_call(record: Record | None) -> Record | None:
    """The gate's call that failed the rollout, else its newest with a verdict, or None."""
    calls: Sequence[Record] = (record or {}).get("calls", ())
    failed = [call for call in calls if call["hook_status"] == "FAILED"]
    judged = [call for call in calls if call.get("verdict")]
    return next(iter([*failed[-1:], *judged[-1:]]), None)


def held(record: Record | None, decision: Record | None) -> str | None:
    """Why the gate holds the rollout for a person, or None if it does not.

    The canary stays as it is, and the judge goes on, until a person has decided.
    """
    call = last_call(record)
    if decision or not call or call["hook_status"] != "IN_PROGRESS":
        return None
    verdict = call.get("verdict") or {}
    return str(call["reason"]) if verdict.get("decision") == "inconclusive" else None


def golden_call(record: Record | None) -> Record | None:
    """The gate's last call about the golden set, or None."""
    calls = (record or {}).get("calls", ())
    return next((call for call in reversed(calls) if call["stage"] == GOLDEN_STAGE), None)


def _read(artifacts: Artifacts, key: str) -> Record | None:
    content = artifacts.get(key)
    if content is None:
        return None
    found: Record = json.loads(content)
    return found
