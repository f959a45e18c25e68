"""History: the rollouts ECS remembers, newest first, each with its true end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from llmops_runbooks.conclude import conclude, result
from llmops_runbooks.errors import UsageError
from llmops_runbooks.narration import Tell, silent
from llmops_runbooks.outcome import Outcome, Result
from llmops_runbooks.ports import Cloud, Deployment
from llmops_runbooks.records import decision, gate_record
from llmops_runbooks.watch import Look, Watch


@dataclass(frozen=True)
class Past:
    """One rollout; `seconds` is how long it took by the cloud's clock."""

    rollout: str
    release: str
    outcome: Outcome
    status: str
    decided_by: str | None
    started_at: str | None
    seconds: float | None
    verdict: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def history(cloud: Cloud, *, limit: int = 10) -> list[Past]:
    """The newest `limit` rollouts."""
    return [_past(cloud, each) for each in cloud.deployments.deployments(limit=limit)]


def evidence_of(cloud: Cloud, rollout: str, *, folder: Path, tell: Tell = silent) -> Result:
    """Writes the evidence of a rollout that ended, also if no command saw its end."""
    found = find(cloud, rollout)
    if found.under_way:
        raise UsageError(
            f"The rollout {found.id} has not ended; its evidence is written at the end.",
            hint="llmops status --watch",
        )
    return conclude(Watch(cloud, found.arn, 1.0, tell), look_at(cloud, found), folder=folder)


def find(cloud: Cloud, rollout: str) -> Deployment:
    """A rollout by its ARN or id; raises UsageError if ECS does not know it."""
    for each in cloud.deployments.deployments(limit=100):
        if rollout in (each.arn, each.id):
            return each
    raise UsageError(f"ECS knows no rollout {rollout}.", hint="llmops history lists them.")


def look_at(cloud: Cloud, deployment: Deployment) -> Look:
    """A deployment with what was written about it."""
    record = gate_record(cloud.artifacts, deployment.id)
    return Look(deployment, record, decision(cloud.artifacts, deployment.id))


def _past(cloud: Cloud, deployment: Deployment) -> Past:
    found = result(cloud, look_at(cloud, deployment))
    return Past(
        rollout=deployment.id,
        release=found.release,
        outcome=found.outcome,
        status=deployment.status,
        decided_by=found.decided_by,
        started_at=found.started_at,
        seconds=_seconds(deployment.started_at or deployment.created_at, deployment.finished_at),
        verdict=found.verdict["reason"] if found.verdict else None,
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
