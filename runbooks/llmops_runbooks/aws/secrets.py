"""Secrets Manager, the tasks on ECS, and what the service's /readyz says of them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.aws.clock import CloudClock
from llmops_runbooks.aws.s3 import S3Artifacts
from llmops_runbooks.aws.ssm import read_coordinates
from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.errors import UsageError
from llmops_runbooks.secrets_port import CURRENT, PENDING, Holder, Secrets, SecretView, Version
from llmops_runbooks.settings import Environment

SERVICE = "secretsmanager"
MISSING = "ResourceNotFoundException"
AT_ONCE = 100
"""Tasks that DescribeTasks takes."""
ASK_SECONDS = 3.0


class SecretsManager:
    """`Vault` on AWS."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def look(self, arn: str) -> SecretView | None:
        try:
            found = self._clients.call(SERVICE, "describe_secret", SecretId=arn)
            listed = self._clients.call(SERVICE, "list_secret_version_ids", SecretId=arn)
        except Refused as error:
            if error.code == MISSING:
                return None
            raise
        made = {each["VersionId"]: each.get("CreatedDate") for each in listed["Versions"]}
        return SecretView(
            arn=str(found["ARN"]),
            versions=tuple(
                Version(id, frozenset(labels), made.get(id))
                for id, labels in found.get("VersionIdsToStages", {}).items()
            ),
            rotates=bool(found.get("RotationEnabled")),
            function=str(found.get("RotationLambdaARN") or ""),
            every_days=found.get("RotationRules", {}).get("AutomaticallyAfterDays") or None,
            rotated_at=found.get("LastRotatedDate"),
            next_at=found.get("NextRotationDate"),
        )

    def value(self, arn: str, label: str = CURRENT) -> str | None:
        try:
            found = self._clients.call(
                SERVICE, "get_secret_value", SecretId=arn, VersionStage=label
            )
        except Refused as error:
            if error.code == MISSING:
                return None
            raise
        value: str | None = found.get("SecretString")
        return value

    def stage(self, arn: str, value: str) -> str:
        made = self._clients.call(
            SERVICE, "put_secret_value", SecretId=arn, SecretString=value, VersionStages=[PENDING]
        )
        return str(made["VersionId"])

    def promote(self, arn: str, version: str, before: str) -> None:
        source = {"RemoveFromVersionId": before} if before else {}
        self._clients.call(
            SERVICE,
            "update_secret_version_stage",
            SecretId=arn,
            VersionStage=CURRENT,
            MoveToVersionId=version,
            **source,
        )

    def rotate(self, arn: str) -> str:
        try:
            return str(self._clients.call(SERVICE, "rotate_secret", SecretId=arn)["VersionId"])
        except Refused as error:
            view = self.look(arn) if error.code == "InvalidRequestException" else None
            if view is None or view.unfinished is None:
                raise
            return view.unfinished.id


class ServiceFleet:
    """`Fleet` on AWS."""

    def __init__(self, clients: Clients, where: Coordinates) -> None:
        self._clients, self._where = clients, where

    def reads_live(self, arn: str) -> bool | None:
        container = self._container()
        plain = (str(each["value"]) for each in container.get("environment", []))
        if any(arn in value for value in plain):
            return True
        injected = (str(each["valueFrom"]) for each in container.get("secrets", []))
        return False if any(value.startswith(arn) for value in injected) else None

    def tasks(self) -> list[Holder]:
        return [
            Holder(str(task["taskArn"]).rsplit("/", 1)[-1], task.get("startedAt"))
            for arns in self._pages()
            for task in self._clients.call(
                "ecs", "describe_tasks", cluster=self._where.cluster, tasks=arns
            )["tasks"]
            if task.get("lastStatus") != "STOPPED"
        ]

    def says(self, kind: str) -> str | None:
        url = f"{self._where.service_url}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=ASK_SECONDS) as answer:  # noqa: S310
                return _version(answer.read(), kind)
        except HTTPError as error:
            return _version(error.read(), kind)
        except (URLError, OSError):
            return None

    def _pages(self) -> Iterator[list[str]]:
        more: dict[str, Any] = {"maxResults": AT_ONCE}
        while True:
            page = self._clients.call(
                "ecs",
                "list_tasks",
                cluster=self._where.cluster,
                serviceName=self._where.service,
                **more,
            )
            if page["taskArns"]:
                yield page["taskArns"]
            if not page.get("nextToken"):
                return
            more["nextToken"] = page["nextToken"]

    def _container(self) -> dict[str, Any]:
        services = self._clients.call(
            "ecs", "describe_services", cluster=self._where.cluster, services=[self._where.service]
        )["services"]
        if not services:
            return {}
        definition = self._clients.call(
            "ecs", "describe_task_definition", taskDefinition=services[0]["taskDefinition"]
        )["taskDefinition"]
        found = [
            each
            for each in definition["containerDefinitions"]
            if each["name"] == self._where.container
        ]
        return found[0] if found else {}


def _version(body: bytes, kind: str) -> str | None:
    try:
        found = json.loads(body)["secrets"].get(kind)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return str(found) if found is not None else None


def connect(environment: Environment) -> Secrets:
    """The secrets of a deployed service; raises UsageError if it is not deployed."""
    clients = Clients(environment)
    where = read_coordinates(clients, environment)
    if where is None:
        raise UsageError(
            f"The service {environment.service_name} is not deployed to environment "
            f"{environment.name}.",
            hint=f"llmops deploy --env {environment.name}",
        )
    return Secrets(
        coordinates=where,
        vault=SecretsManager(clients),
        fleet=ServiceFleet(clients, where),
        artifacts=S3Artifacts(clients, where.artifact_bucket),
        clock=CloudClock(clients),
    )
