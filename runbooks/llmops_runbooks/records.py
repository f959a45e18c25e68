"""What the gate and the operator wrote about a rollout: `rollouts/<deployment-id>/*.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def _read(artifacts: Artifacts, key: str) -> Record | None:
    content = artifacts.get(key)
    if content is None:
        return None
    found: Record = json.loads(content)
    return found
