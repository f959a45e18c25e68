"""Task definitions: whatever is registered comes back, with a revision and a status."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from llmops_localcloud.ecs.errors import ClientException, InvalidParameterException
from llmops_localcloud.ecs.identifiers import Place, last_part

Definition = dict[str, Any]

_FAMILY = re.compile(r"^[A-Za-z0-9_-]{1,255}$")
_CONTAINER_DEFAULTS: Mapping[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


class Definitions:
    """All families of one account and region. Not thread-safe: the engine's lock guards it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._families: dict[str, list[Definition]] = {}
        self.tags: dict[str, list[dict[str, str]]] = {}

    def register(self, sent: Mapping[str, Any], at: datetime) -> Definition:
        """The next revision of `sent["family"]`; every parameter sent is kept."""
        sent = copy.deepcopy(dict(sent))
        tags = sent.get("tags", [])
        family = sent["family"]
        _check(family, sent["containerDefinitions"])
        revisions = self._families.setdefault(family, [])
        arn = self._place.task_definition(family, len(revisions) + 1)
        definition = {
            "volumes": [],
            "placementConstraints": [],
            **{name: value for name, value in sent.items() if name != "tags"},
            "containerDefinitions": [_container(each) for each in sent["containerDefinitions"]],
            "taskDefinitionArn": arn,
            "revision": len(revisions) + 1,
            "status": "ACTIVE",
            "compatibilities": _compatibilities(sent),
            "registeredAt": at,
            "registeredBy": f"arn:aws:iam::{self._place.account}:root",
        }
        revisions.append(definition)
        self.tags[arn] = tags
        return definition

    def find(self, name: str) -> Definition | None:
        """By ARN, `family:revision`, or family alone: then its latest ACTIVE revision."""
        family, _, revision = last_part(name).partition(":")
        known = self._families.get(family, [])
        if not revision:
            active = [each for each in known if each["status"] == "ACTIVE"]
            return active[-1] if active else None
        return next((each for each in known if str(each["revision"]) == revision), None)

    def describe(self, name: str) -> Definition:
        found = self.find(name)
        if found is None:
            raise ClientException("Unable to describe task definition.")
        return found

    def usable(self, name: str) -> Definition:
        """For a service: raises ClientException if there is none or it is INACTIVE."""
        found = self.find(name)
        if found is None:
            raise ClientException("TaskDefinition not found.")
        if found["status"] != "ACTIVE":
            raise ClientException("TaskDefinition is inactive")
        return found

    def deregister(self, name: str, at: datetime) -> Definition:
        """Running tasks and services keep what they have; new ones are refused."""
        if ":" not in last_part(name):
            raise ClientException("Revision is missing.")
        found = self.describe(name)
        if found["status"] == "ACTIVE":
            found.update(status="INACTIVE", deregisteredAt=at)
        return found

    def delete(self, name: str) -> Definition:
        """Only an INACTIVE definition can be deleted."""
        found = self.describe(name)
        if found["status"] == "ACTIVE":
            raise InvalidParameterException(
                "The specified task definition is still in ACTIVE status."
            )
        found["status"] = "DELETE_IN_PROGRESS"
        return found

    def arns(self, *, prefix: str | None, status: str, newest_first: bool) -> list[str]:
        """By family, or all; a family prefix is the whole family name here, as on AWS."""
        found = [
            each["taskDefinitionArn"]
            for family, revisions in sorted(self._families.items())
            if prefix in {None, family}
            for each in revisions
            if each["status"] == status
        ]
        return found[::-1] if newest_first else found

    def families(self, prefix: str | None, status: str) -> list[str]:
        return [
            family
            for family, revisions in sorted(self._families.items())
            if family.startswith(prefix or "") and _family_has(revisions, status)
        ]


def _family_has(revisions: Iterable[Definition], status: str) -> bool:
    active = any(each["status"] == "ACTIVE" for each in revisions)
    return status == "ALL" or active == (status == "ACTIVE")


def _check(family: str, containers: list[Mapping[str, Any]]) -> None:
    if not _FAMILY.match(family):
        raise ClientException("Family contains invalid characters.")
    if not containers:
        raise ClientException("Container list cannot be empty.")
    for container in containers:
        for name in ("name", "image"):
            if not container.get(name):
                raise ClientException(f"Container.{name} should not be null or empty.")


def _container(sent: Mapping[str, Any]) -> dict[str, Any]:
    container = {**_CONTAINER_DEFAULTS, **sent}
    container["portMappings"] = [_port(each) for each in container["portMappings"]]
    return container


def _port(sent: Mapping[str, Any]) -> dict[str, Any]:
    if "containerPort" not in sent:
        return dict(sent)
    return {"hostPort": sent["containerPort"], "protocol": "tcp", **sent}


def _compatibilities(sent: Mapping[str, Any]) -> list[str]:
    fargate = "FARGATE" in sent.get("requiresCompatibilities", [])
    return ["EC2", "FARGATE"] if fargate or sent.get("networkMode") == "awsvpc" else ["EC2"]
