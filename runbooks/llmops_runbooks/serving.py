"""Which revision serves, and which release a revision runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmops_runbooks.errors import CloudError, UsageError
from llmops_runbooks.ports import Cloud, Deployment, ServiceView

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Serving:
    """The live task definition and the release in it."""

    release: str
    task_definition: Mapping[str, Any]

    @property
    def arn(self) -> str:
        return str(self.task_definition["taskDefinitionArn"])


def service_of(cloud: Cloud) -> ServiceView:
    """The ECS service; raises UsageError if it is not there."""
    found = cloud.deployments.service()
    if found is None:
        where = cloud.coordinates
        raise UsageError(
            f"The ECS service {where.service} of environment {where.environment} does not exist.",
            hint=f"llmops deploy --env {where.environment}",
        )
    return found


def under_way(cloud: Cloud) -> Deployment | None:
    """The rollout that has not ended, or None."""
    return next((each for each in cloud.deployments.deployments() if each.under_way), None)


def serving(cloud: Cloud) -> Serving:
    """The live release while no rollout is under way.

    The service's own task definition is asked last: after a rollback it may name the rejected
    one (reference 3.3).
    """
    service = service_of(cloud)
    revision = _live_revision(cloud, service)
    arn = cloud.deployments.task_definition_of(revision) if revision else None
    definition = cloud.deployments.task_definition(arn or service.task_definition)
    return Serving(release_of(definition, cloud.coordinates.container), definition)


def _live_revision(cloud: Cloud, service: ServiceView) -> str:
    with_tasks = [each.arn for each in service.revisions if each.requested > 0]
    if len(with_tasks) == 1:
        return with_tasks[0]
    for deployment in cloud.deployments.deployments():
        if deployment.status == "SUCCESSFUL":
            return deployment.target.arn
        if deployment.status == "ROLLBACK_SUCCESSFUL":
            return deployment.rollback_revision or (
                deployment.source.arn if deployment.source else ""
            )
    return ""


def release_of_revision(cloud: Cloud, revision: str | None) -> str:
    """The release a service revision runs, or `unknown` if ECS has forgotten the revision."""
    arn = cloud.deployments.task_definition_of(revision) if revision else None
    if arn is None:
        return UNKNOWN
    return release_of(cloud.deployments.task_definition(arn), cloud.coordinates.container)


def release_of(definition: Mapping[str, Any], container: str) -> str:
    """The RELEASE in a task definition's container."""
    return environment_of(container_of(definition, container)).get("RELEASE", UNKNOWN)


def container_of(definition: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for container in definition["containerDefinitions"]:
        if container["name"] == name:
            found: Mapping[str, Any] = container
            return found
    raise CloudError(f"The task definition {definition['family']} has no container '{name}'.")


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container.get("environment", ())}
