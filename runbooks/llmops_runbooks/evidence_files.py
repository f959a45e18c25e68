"""The evidence of a rollout: put together from what is stored, written here and to the bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from llmops_runbooks import evidence
from llmops_runbooks.outcome import Decider, decided_by
from llmops_runbooks.ports import Cloud, Deployment, RevisionView
from llmops_runbooks.serving import UNKNOWN, release_of_revision
from llmops_runbooks.watch import Look

BEFORE = timedelta(minutes=5)
"""How much of the time before the rollout the series show, for comparison."""
TYPES = {".json": "application/json", ".html": "text/html; charset=utf-8"}


def write_evidence(
    cloud: Cloud, look: Look, *, folder: Path, journal: Sequence[Mapping[str, Any]]
) -> Path:
    """Writes `<folder>/<rollout>/evidence.{json,html}` and both to the bucket; the page's path."""
    deployment = look.deployment
    arms = {"baseline": _release(cloud, deployment.source)}
    arms["canary"] = _release(cloud, deployment.target)
    found = evidence.assemble(
        rollout=described(deployment),
        record=look.record,
        series={arm: _series(cloud, deployment, release) for arm, release in arms.items()},
        journal=journal,
    )
    _complete(found, look, arms, cloud.coordinates.environment)
    page = evidence.write(found, folder / deployment.id)
    for suffix, content_type in TYPES.items():
        key = f"rollouts/{deployment.id}/evidence{suffix}"
        cloud.artifacts.put(key, page.with_suffix(suffix).read_bytes(), content_type)
    return page


def described(deployment: Deployment) -> dict[str, Any]:
    """The deployment in DescribeServiceDeployments' shape, which evidence is made from."""
    watched = deployment.configuration.get("alarms") or {}
    rollback = {
        "reason": deployment.rollback_reason,
        "startedAt": deployment.rollback_started_at,
        "serviceRevisionArn": deployment.rollback_revision,
    }
    return {
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": deployment.service_arn,
        "status": deployment.status,
        "statusReason": deployment.reason,
        "createdAt": deployment.created_at,
        "startedAt": deployment.started_at,
        "finishedAt": deployment.finished_at,
        "stoppedAt": deployment.stopped_at,
        "sourceServiceRevisions": [_shape(deployment.source)] if deployment.source else [],
        "targetServiceRevision": _shape(deployment.target),
        "deploymentConfiguration": dict(deployment.configuration),
        "rollback": rollback if deployment.rollback_revision else {},
        "alarms": {
            "status": deployment.alarm_status or None,
            "alarmNames": list(watched.get("alarmNames", ())),
            "triggeredAlarmNames": list(deployment.triggered_alarms),
        },
    }


def _complete(
    found: dict[str, Any], look: Look, arms: Mapping[str, str | None], environment: str
) -> None:
    """What the gate's record does not say, because the gate was not the one who decided."""
    found["decision"] = found["decision"] or look.decision
    decider = decided_by(look.deployment, look.record, look.decision)
    # The published schema counts a time-out as the engine's decision.
    found["decided_by"] = Decider.ENGINE if decider is Decider.TIMEOUT else decider
    found["rollout"]["environment"] = found["rollout"]["environment"] or environment
    for arm, release in arms.items():
        if found[arm] and found[arm].get("release") is None:
            found[arm] = {**found[arm], "release": release}


def _release(cloud: Cloud, revision: RevisionView | None) -> str | None:
    found = release_of_revision(cloud, revision.arn) if revision else UNKNOWN
    return None if found == UNKNOWN else found


def _series(cloud: Cloud, deployment: Deployment, release: str | None) -> list[dict[str, Any]]:
    start = deployment.started_at or deployment.created_at
    if release is None or start is None:
        return []
    return cloud.metrics.series(
        service=cloud.coordinates.service_name,
        environment=cloud.coordinates.environment,
        release=release,
        start=_minute(start - BEFORE),
        end=_minute(deployment.finished_at or cloud.clock.now()) + timedelta(minutes=1),
    )


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _shape(revision: RevisionView) -> dict[str, Any]:
    return {"arn": revision.arn, "requestedProductionTrafficWeight": revision.weight}
