"""The ECS API of the local cloud, operation by operation: parameters in, answer out.

`responses` calls these by name; each takes the checked parameters of its call and returns what is
rendered as JSON. Clusters, capacity providers and account settings stay moto's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from llmops_localcloud.ecs import describe
from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.errors import (
    EcsError,
    InvalidParameterException,
    UnsupportedFeatureException,
)
from llmops_localcloud.ecs.identifiers import cluster_name, last_part
from llmops_localcloud.ecs.listing import page
from llmops_localcloud.ecs.model import Deployment, Revision, Service, Task
from llmops_localcloud.ecs.operations import Operations
from llmops_localcloud.ecs.requests import instant

Sent = Mapping[str, Any]
Answer = dict[str, Any]

_MOST_ARNS = 20


Method = Callable[["Api", Sent], Answer]


def locked(method: Method) -> Method:
    """Runs under the engine's lock: what is shown is of one moment."""

    @wraps(method)
    def held(self: Api, sent: Sent) -> Answer:
        with self.engine.lock:
            return copy.deepcopy(method(self, sent))

    return held


class Api:
    """One account's and region's ECS."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.do = Operations(engine)
        self._switches = engine.world.switches

    # Task definitions

    @locked
    def register_task_definition(self, sent: Sent) -> Answer:
        now = self.engine.world.clock.now()
        return self._definition(self.engine.definitions.register(sent, now))

    @locked
    def describe_task_definition(self, sent: Sent) -> Answer:
        found = self.engine.definitions.describe(sent["taskDefinition"])
        answer = self._definition(found)
        if "TAGS" not in sent.get("include", []):
            answer.pop("tags", None)
        return answer

    @locked
    def deregister_task_definition(self, sent: Sent) -> Answer:
        now = self.engine.world.clock.now()
        found = self.engine.definitions.deregister(sent["taskDefinition"], now)
        return {"taskDefinition": describe.task_definition(found)}

    @locked
    def delete_task_definitions(self, sent: Sent) -> Answer:
        deleted, failures = [], []
        for name in sent["taskDefinitions"]:
            try:
                found = self.engine.definitions.delete(name)
                deleted.append(describe.task_definition(found))
            except EcsError as refused:
                failures.append({"arn": name, "reason": refused.message})
        return {"taskDefinitions": deleted, "failures": failures}

    @locked
    def list_task_definitions(self, sent: Sent) -> Answer:
        arns = self.engine.definitions.arns(
            prefix=sent.get("familyPrefix"),
            status=sent.get("status", "ACTIVE"),
            newest_first=sent.get("sort") == "DESC",
        )
        return page(arns, sent, "taskDefinitionArns")

    @locked
    def list_task_definition_families(self, sent: Sent) -> Answer:
        status = sent.get("status", "ACTIVE")
        families = self.engine.definitions.families(sent.get("familyPrefix"), status)
        return page(families, sent, "families")

    def _definition(self, found: Mapping[str, Any]) -> Answer:
        tags = self.engine.definitions.tags[found["taskDefinitionArn"]]
        return {"taskDefinition": describe.task_definition(found), "tags": tags}

    # Services

    def create_service(self, sent: Sent, cluster_arn: str) -> Answer:
        return self._service(self.do.create_service(cluster_arn, sent))

    def update_service(self, sent: Sent) -> Answer:
        return self._service(self.do.update_service(_cluster(sent), sent))

    @locked
    def delete_service(self, sent: Sent) -> Answer:
        force = sent.get("force", False)
        return self._service(self.do.delete_service(_cluster(sent), sent["service"], force=force))

    @locked
    def describe_services(self, sent: Sent) -> Answer:
        if len(sent["services"]) > 10:
            raise InvalidParameterException("services can have at most 10 items.")
        found, failures = [], []
        for name in sent["services"]:
            service = self.engine.services.get((_cluster(sent), last_part(name)))
            if service is None:
                cluster = _cluster(sent)
                arn = name if name.startswith("arn:") else self._service_arn(cluster, name)
                failures.append({"arn": arn, "reason": "MISSING"})
                continue
            tags = {"tags": service.tags} if "TAGS" in sent.get("include", []) else {}
            found.append({**describe.service(service), **tags})
        return {"services": found, "failures": failures}

    @locked
    def list_services(self, sent: Sent) -> Answer:
        launch, scheduling = sent.get("launchType"), sent.get("schedulingStrategy")
        arns = [
            service.arn
            for (cluster, _), service in self.engine.services.items()
            if cluster == _cluster(sent)
            and service.status != "INACTIVE"
            and launch in {None, service.settings.get("launchType", "FARGATE")}
            and scheduling in {None, "REPLICA"}
        ]
        return page(arns, sent, "serviceArns", default=10)

    def _service(self, service: Service) -> Answer:
        with self.engine.lock:
            return {"service": copy.deepcopy(describe.service(service))}

    def _service_arn(self, cluster: str, name: str) -> str:
        return self.engine.place.service(cluster, name)

    # Tasks

    @locked
    def list_tasks(self, sent: Sent) -> Answer:
        if "containerInstance" in sent:
            return {"taskArns": []}
        arns = [
            task.arn
            for service, revision, task in self._tasks(sent)
            if _task_matches(service, revision, task, sent)
        ]
        return page(arns, sent, "taskArns")

    @locked
    def describe_tasks(self, sent: Sent) -> Answer:
        known = {last_part(entry[2].arn): entry for entry in self._tasks(sent)}
        asked = {last_part(name): name for name in sent["tasks"]}
        found = [known[name] for name in asked if name in known]
        missing = [each for name, each in asked.items() if name not in known]
        return {
            "tasks": [describe.task(task, revision, service) for service, revision, task in found],
            "failures": [{"arn": each, "reason": "MISSING"} for each in missing],
        }

    @locked
    def stop_task(self, sent: Sent) -> Answer:
        stopped = self.do.stop_task(_cluster(sent), sent["task"], sent.get("reason", ""))
        service, revision, task = stopped
        return {"task": describe.task(task, revision, service)}

    def _tasks(self, sent: Sent) -> Iterator[tuple[Service, Revision, Task]]:
        for service, revision in self.engine.revisions():
            if last_part(service.cluster_arn) == _cluster(sent):
                for task in revision.tasks:
                    yield service, revision, task

    # Service deployments and revisions

    @locked
    def list_service_deployments(self, sent: Sent) -> Answer:
        service = self.do.service(_cluster(sent), sent["service"])
        chosen = [each for each in reversed(service.deployments) if _chosen(each, sent)]
        visible = [each for each in chosen if not each.hidden_from_lists]
        for each in service.deployments:
            each.hidden_from_lists = False
        briefs = [describe.brief(each) for each in visible]
        return page(briefs, sent, "serviceDeployments", default=20)

    @locked
    def describe_service_deployments(self, sent: Sent) -> Answer:
        known = {each.arn: each for each in self.engine.deployments()}
        arns = _checked_arns(sent["serviceDeploymentArns"], "serviceDeploymentArns")
        shapes = {
            arn: describe.service_deployment(known[arn], self._switches)
            for arn in arns
            if arn in known
        }
        return {"serviceDeployments": list(shapes.values()), "failures": _missing(arns, shapes)}

    @locked
    def describe_service_revisions(self, sent: Sent) -> Answer:
        known = {
            deployment.target.arn: (deployment.target, service)
            for service in self.engine.services.values()
            for deployment in service.deployments
        }
        arns = _checked_arns(sent["serviceRevisionArns"], "serviceRevisionArns")
        shapes = {arn: describe.service_revision(*known[arn]) for arn in arns if arn in known}
        return {"serviceRevisions": list(shapes.values()), "failures": _missing(arns, shapes)}

    @locked
    def stop_service_deployment(self, sent: Sent) -> Answer:
        kind = sent.get("stopType", "ROLLBACK")
        stopped = self.do.stop_deployment(sent["serviceDeploymentArn"], kind)
        return {"serviceDeploymentArn": stopped.arn}

    @locked
    def continue_service_deployment(self, sent: Sent) -> Answer:
        action = sent.get("action", "CONTINUE")
        arn, hook = sent["serviceDeploymentArn"], sent["hookId"]
        return {"serviceDeploymentArn": self.do.continue_deployment(arn, hook, action).arn}

    # What moto's own answers need of the engine

    def cluster_counts(self, cluster: str) -> tuple[int, int, int]:
        """Active services, running tasks and pending tasks of a cluster."""
        with self.engine.lock:
            services = [
                service
                for (name, _), service in self.engine.services.items()
                if name == cluster and service.status != "INACTIVE"
            ]
            counts = [each.counts() for service in services for each in service.revisions]
        return len(services), sum(run for run, _ in counts), sum(wait for _, wait in counts)

    def tags_of(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of a task definition or service; None for what is moto's."""
        if arn in self.engine.definitions.tags:
            return self.engine.definitions.tags[arn]
        return next((each.tags for each in self.engine.services.values() if each.arn == arn), None)


def refuse(operation: str) -> Callable[[Sent], Answer]:
    """An operation that is not emulated, and says so."""

    def refused(_: Sent) -> Answer:
        raise UnsupportedFeatureException(
            f"{operation} is not emulated by the local cloud: tasks run through services."
        )

    return refused


def _cluster(sent: Sent) -> str:
    return cluster_name(sent.get("cluster"))


def _chosen(deployment: Deployment, sent: Sent) -> bool:
    if sent.get("status") and deployment.status not in sent["status"]:
        return False
    window = sent.get("createdAt", {})
    after, before = window.get("after"), window.get("before")
    if after is not None and deployment.created_at <= instant(after):
        return False
    return before is None or deployment.created_at < instant(before)


def _checked_arns(arns: list[str], name: str) -> list[str]:
    if not 1 <= len(arns) <= _MOST_ARNS:
        raise InvalidParameterException(f"{name} must have from 1 to {_MOST_ARNS} items.")
    return arns


def _missing(arns: list[str], found: Mapping[str, Any]) -> list[Answer]:
    return [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in found]


def _task_matches(service: Service, revision: Revision, task: Task, sent: Sent) -> bool:
    wanted = {
        "serviceName": service.name,
        "family": revision.task_definition["family"],
        "startedBy": f"ecs-svc/{last_part(revision.arn)}",
        "launchType": service.settings.get("launchType", "FARGATE"),
    }
    desired = "RUNNING" if task.live else "STOPPED"
    if sent.get("desiredStatus", "RUNNING") != desired:
        return False
    return all(
        last_part(sent[key]) == last_part(value) if key != "startedBy" else sent[key] == value
        for key, value in wanted.items()
        if key in sent
    )
