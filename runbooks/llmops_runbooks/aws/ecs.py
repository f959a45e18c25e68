"""`Deployments` on ECS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.ports import Deployment, Hook, RevisionView, ServiceView

PAGE = 20
"""DescribeServiceDeployments takes at most 20 ARNs (reference 6.26)."""
OVER = frozenset({"InvalidParameterException", "ClientException", "UnsupportedFeatureException"})
"""What ContinueServiceDeployment says of a hook that waits no longer (reference 1.4)."""
GONE = frozenset({"ClusterNotFoundException", "ServiceNotFoundException"})
ENDED_BY_ITSELF = frozenset({"TaskFailedToStart", "EssentialContainerExited"})
NOT_THERE = frozenset({"ClusterNotFoundException", "ServiceNotFoundException"})
ENDED = frozenset({"ConflictException", "InvalidParameterException"})
"""What StopServiceDeployment says of a deployment that has ended (reference 6.16)."""


class EcsDeployments:
    """One service of one cluster."""

    def __init__(self, clients: Clients, *, cluster: str, service: str) -> None:
        self._clients = clients
        self._where = {"cluster": cluster, "service": service}
        # A revision never changes its task definition.
        self._known_revision = lru_cache(maxsize=256)(self._task_definition_of)

    def service(self) -> ServiceView | None:
        cluster, service = self._where["cluster"], self._where["service"]
        try:
            answer = self._call("describe_services", cluster=cluster, services=[service])
        except Refused as error:
            if error.code in GONE:
                return None
            raise
        found = [each for each in answer["services"] if each.get("status") != "INACTIVE"]
        return _service(found[0]) if found else None

    def deployments(self, *, after: datetime | None = None, limit: int = 20) -> list[Deployment]:
        arns: list[str] = []
        query: dict[str, Any] = {**self._where, "maxResults": min(limit, 100)}
        if after is not None:
            query["createdAt"] = {"after": after}
        while True:
            answer = self._list(query)
            arns += [each["serviceDeploymentArn"] for each in answer["serviceDeployments"]]
            if len(arns) >= limit or not answer.get("nextToken"):
                return _newest_first(self._describe(arns[:limit]))
            query["nextToken"] = answer["nextToken"]

    def deployment(self, arn: str) -> Deployment | None:
        return next(iter(self._describe([arn])), None)

    def task_definition_of(self, revision: str) -> str | None:
        try:
            return str(self._known_revision(revision))
        except LookupError:
            return None

    def task_definition(self, arn: str) -> Mapping[str, Any]:
        answer = self._call("describe_task_definition", taskDefinition=arn, include=["TAGS"])
        found: dict[str, Any] = answer["taskDefinition"]
        return {**found, "tags": answer["tags"]} if answer.get("tags") else found

    def failed_tasks(self, task_definition: str = "") -> list[str]:
        cluster, service = self._where["cluster"], self._where["service"]
        try:
            arns = self._call(
                "list_tasks", cluster=cluster, serviceName=service, desiredStatus="STOPPED"
            )["taskArns"]
            tasks = arns and self._call("describe_tasks", cluster=cluster, tasks=arns)["tasks"]
        except Refused as error:
            if error.code in NOT_THERE:
                return []
            raise
        return [
            task.get("stoppedReason", "")
            for task in tasks
            if task.get("stopCode") in ENDED_BY_ITSELF
            and task_definition in ("", task["taskDefinitionArn"])
        ]

    def register(self, definition: Mapping[str, Any]) -> str:
        answer = self._call("register_task_definition", **definition)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def deregister(self, arn: str) -> None:
        self._call("deregister_task_definition", taskDefinition=arn)

    def update(self, task_definition: str, configuration: Mapping[str, Any]) -> None:
        self._call(
            "update_service",
            **self._where,
            taskDefinition=task_definition,
            deploymentConfiguration=configuration,
        )

    def resume(self, arn: str, hook_id: str, action: Literal["CONTINUE", "ROLLBACK"]) -> bool:
        try:
            self._call(
                "continue_service_deployment",
                serviceDeploymentArn=arn,
                hookId=hook_id,
                action=action,
            )
        except Refused as error:
            if error.code in OVER:
                return False
            raise
        return True

    def stop(self, arn: str) -> bool:
        try:
            self._call("stop_service_deployment", serviceDeploymentArn=arn, stopType="ROLLBACK")
        except Refused as error:
            if error.code in ENDED:
                return False
            raise
        return True

    def _list(self, query: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._call("list_service_deployments", **query)
        except Refused as error:
            if error.code in GONE:
                return {"serviceDeployments": []}
            raise

    def _describe(self, arns: list[str]) -> list[Deployment]:
        found: list[Deployment] = []
        for start in range(0, len(arns), PAGE):
            answer = self._call(
                "describe_service_deployments", serviceDeploymentArns=arns[start : start + PAGE]
            )
            found += [deployment_from(each) for each in answer["serviceDeployments"]]
        return found

    def _task_definition_of(self, revision: str) -> str:
        answer = self._call("describe_service_revisions", serviceRevisionArns=[revision])
        for each in answer["serviceRevisions"]:
            return str(each["taskDefinition"])
        raise LookupError(revision)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._clients.call("ecs", operation, **parameters)


def deployment_from(shown: Mapping[str, Any]) -> Deployment:
    """A deployment from DescribeServiceDeployments' shape; fields that are absent are empty."""
    rollback, alarms = shown.get("rollback", {}), shown.get("alarms", {})
    sources = shown.get("sourceServiceRevisions") or [None]
    return Deployment(
        arn=shown["serviceDeploymentArn"],
        status=shown["status"],
        target=_revision(shown.get("targetServiceRevision", {})),
        source=_revision(sources[0]) if sources[0] else None,
        stage=shown.get("lifecycleStage", ""),
        reason=shown.get("statusReason", ""),
        hooks=tuple(_hook(each) for each in shown.get("lifecycleHookDetails", ())),
        created_at=shown.get("createdAt"),
        started_at=shown.get("startedAt"),
        finished_at=shown.get("finishedAt"),
        stopped_at=shown.get("stoppedAt"),
        rollback_reason=rollback.get("reason", ""),
        rollback_revision=rollback.get("serviceRevisionArn", ""),
        rollback_started_at=rollback.get("startedAt"),
        alarm_status=alarms.get("status", ""),
        triggered_alarms=tuple(alarms.get("triggeredAlarmNames", ())),
        configuration=shown.get("deploymentConfiguration", {}),
        service_arn=shown.get("serviceArn", ""),
    )


def _revision(shown: Mapping[str, Any]) -> RevisionView:
    return RevisionView(
        arn=shown.get("arn", ""),
        weight=float(shown.get("requestedProductionTrafficWeight", 0.0)),
        requested=int(shown.get("requestedTaskCount", 0)),
        running=int(shown.get("runningTaskCount", 0)),
    )


def _hook(shown: Mapping[str, Any]) -> Hook:
    return Hook(
        hook_id=shown.get("hookId", ""),
        kind=shown.get("targetType", "AWS_LAMBDA"),
        status=shown.get("status", ""),
        expires_at=shown.get("expiresAt"),
        timeout_action=shown.get("timeoutAction", "ROLLBACK"),
    )


def _service(shown: Mapping[str, Any]) -> ServiceView:
    revisions = tuple(_revision(each) for each in shown.get("currentServiceRevisions", ()))
    return ServiceView(
        task_definition=shown["taskDefinition"],
        desired=int(shown.get("desiredCount", 0)),
        running=int(shown.get("runningCount", 0)),
        configuration=shown.get("deploymentConfiguration", {}),
        revisions=revisions,
    )


def _newest_first(found: list[Deployment]) -> list[Deployment]:
    return sorted(found, key=lambda each: _epoch(each.created_at), reverse=True)


def _epoch(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
