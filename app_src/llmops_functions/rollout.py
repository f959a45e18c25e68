"""Who is who in a rollout: the two revisions and the releases they run, as ECS tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmops_functions import awstime
from llmops_functions.call import Call

RELEASE_VARIABLE = "RELEASE"
GOING_FORWARD = frozenset({"PENDING", "IN_PROGRESS"})
"""The statuses in which a service deployment can still be let through or failed."""


class RolloutError(Exception):
    """ECS does not tell what the gate has to know; the message says what is missing."""


@dataclass(frozen=True)
class Side:
    """One revision and the release it runs."""

    revision: str
    release: str


@dataclass(frozen=True)
class Rollout:
    """The rollout now. baseline is None on a service's first deployment."""

    now: int
    canary: Side
    baseline: Side | None
    status: str = "IN_PROGRESS"

    @property
    def releases(self) -> dict[str, str]:
        """Arm -> release id, of the arms there are."""
        arms = {"baseline": self.baseline, "canary": self.canary}
        return {arm: side.release for arm, side in arms.items() if side}

    @property
    def is_over(self) -> bool:
        """Whether it is being rolled back or stopped, or has ended: nothing is left to decide."""
        return self.status not in GOING_FORWARD


def describe(ecs: Any, call: Call) -> Rollout:
    """Read the rollout. Raises RolloutError or a botocore error."""
    response = ecs.describe_service_deployments(serviceDeploymentArns=[call.rollout])
    deployments = response.get("serviceDeployments") or []
    if not deployments:
        raise RolloutError(f"ECS does not know the service deployment {call.rollout}.")
    sources = [
        summary["arn"]
        for summary in deployments[0].get("sourceServiceRevisions") or []
        if summary["arn"] != call.target
    ]
    baseline = call.source if call.source in sources else next(iter(sources), None)
    arns = [call.target, *([baseline] if baseline else [])]
    releases = _releases(ecs, arns)
    return Rollout(
        now=awstime.of_response(response),
        canary=Side(call.target, releases[call.target]),
        baseline=Side(baseline, releases[baseline]) if baseline else None,
        status=deployments[0].get("status") or "IN_PROGRESS",
    )


def _releases(ecs: Any, arns: list[str]) -> dict[str, str]:
    response = ecs.describe_service_revisions(serviceRevisionArns=arns)
    definitions = {
        revision["serviceRevisionArn"]: revision["taskDefinition"]
        for revision in response.get("serviceRevisions") or []
    }
    missing = [arn for arn in arns if arn not in definitions]
    if missing:
        raise RolloutError(f"ECS does not know the service revision {missing[0]}.")
    return {arn: _release(ecs, definition) for arn, definition in definitions.items()}


def _release(ecs: Any, definition: str) -> str:
    response = ecs.describe_task_definition(taskDefinition=definition)
    for container in response["taskDefinition"].get("containerDefinitions") or []:
        for variable in container.get("environment") or []:
            if variable["name"] == RELEASE_VARIABLE:
                return _text(variable)
    raise RolloutError(f"No container of {definition} has the variable {RELEASE_VARIABLE}.")


def _text(variable: Mapping[str, Any]) -> str:
    return str(variable["value"])
