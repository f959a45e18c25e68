"""The EventBridge events of ECS that a deployment sends (behaviour 27)."""

from __future__ import annotations

from llmops_localcloud.ecs.desk import Desk
from llmops_localcloud.ecs.identifiers import last_part
from llmops_localcloud.ecs.model import Deployment, HookRun
from llmops_localcloud.ecs.stages import Status

_DEPLOYMENT_EVENTS = {
    Status.IN_PROGRESS: ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
    Status.SUCCESSFUL: ("INFO", "SERVICE_DEPLOYMENT_COMPLETED"),
    Status.STOPPED: ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
    Status.ROLLBACK_REQUESTED: ("ERROR", "SERVICE_DEPLOYMENT_FAILED"),
}
"""A deployment that rolls back has failed from the moment the rollback is decided."""


def deployment_changed(desk: Desk, deployment: Deployment) -> None:
    """`ECS Deployment State Change`, for the statuses that have one."""
    if deployment.status not in _DEPLOYMENT_EVENTS:
        return
    kind, name = _DEPLOYMENT_EVENTS[deployment.status]
    detail = {
        "eventType": kind,
        "eventName": name,
        "clusterArn": deployment.cluster_arn,
        "deploymentId": f"ecs-svc/{last_part(deployment.target.arn)}",
        "serviceDeploymentArn": deployment.arn,
        "updatedAt": deployment.updated_at.isoformat(),
        "reason": deployment.status_reason or f"ECS deployment is {deployment.status}.",
    }
    desk.put_event("ECS Deployment State Change", [deployment.service_arn], detail)


def hook_changed(desk: Desk, deployment: Deployment, run: HookRun) -> None:
    """`ECS Hook State Change`; unlike Describe it names the hook's own stage."""
    failed = run.status in {"FAILED", "TIMED_OUT"}
    detail = {
        "eventType": "ERROR" if failed else "INFO",
        "eventName": f"HOOK_{run.status}",
        "hookId": run.hook_id,
        "hookType": str(run.configuration["targetType"]),
        "expiresAt": run.expires_at.isoformat(),
        "lifecycleStage": str(run.stage),
        "clusterArn": deployment.cluster_arn,
        "serviceArn": deployment.service_arn,
        "serviceDeploymentArn": deployment.arn,
        "updatedAt": desk.now.isoformat(),
    }
    desk.put_event("ECS Hook State Change", [deployment.service_arn, deployment.arn], detail)
