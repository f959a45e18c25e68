"""The environment of a container, as ECS makes it: its variables, its secrets, what the image
says. Source: "Specify sensitive data using Secrets Manager / Systems Manager" in the ECS guide."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

SECRET = re.compile(
    r"(?P<arn>arn:aws[\w-]*:secretsmanager:(?P<region>[^:]+):(?P<account>\d+):secret:[^:]+)"
    r"(?::(?P<key>[^:]*):(?P<stage>[^:]*):(?P<version>[^:]*))?"
)
PARAMETER = re.compile(
    r"arn:aws[\w-]*:ssm:(?P<region>[^:]+):(?P<account>\d+):parameter(?P<name>/.+)"
)


class SecretUnavailable(Exception):
    """A secret of the container cannot be had; the text is the task's `stoppedReason`."""


def container_environment(
    container: Mapping[str, Any], account: str, region: str
) -> dict[str, str]:
    """The variables and secrets of a container definition. Raises SecretUnavailable."""
    variables = {entry["name"]: str(entry["value"]) for entry in container.get("environment", [])}
    for entry in container.get("secrets", []):
        variables[entry["name"]] = secret_value(entry["valueFrom"], account, region)
    return variables


def secret_value(value_from: str, account: str, region: str) -> str:
    """What a `valueFrom` stands for: a secret's ARN, with optional `:key:stage:version`, or an
    SSM parameter's ARN or name. Raises SecretUnavailable."""
    match = SECRET.fullmatch(value_from)
    try:
        if match is not None:
            return _secret(match)
        parameter = PARAMETER.fullmatch(value_from)
        if parameter is not None:
            return _parameter(parameter["name"], parameter["account"], parameter["region"])
        return _parameter(value_from, account, region)
    except (ServiceException, JsonRESTError, LookupError, ValueError) as error:
        raise SecretUnavailable(_reason(value_from, error)) from error


def _secret(match: re.Match[str]) -> str:
    backend = secretsmanager_backends[match["account"]][match["region"]]
    stage = match["stage"] or ("" if match["version"] else "AWSCURRENT")
    found = backend.get_secret_value(match["arn"], match["version"] or "", stage)
    text = str(found["SecretString"])
    if not match["key"]:
        return text
    table = json.loads(text)
    if match["key"] not in table:
        raise LookupError(
            f"retrieved secret from Secrets Manager did not contain json key {match['key']}"
        )
    value = table[match["key"]]
    return value if isinstance(value, str) else json.dumps(value)


def _parameter(name: str, account: str, region: str) -> str:
    found = ssm_backends[account][region].get_parameter(name)
    if found is None and name.startswith("/"):
        found = ssm_backends[account][region].get_parameter(name[1:])
    if found is None:
        raise LookupError(f"invalid ssm parameters: {name}")
    return str(found.value)


def _reason(value_from: str, error: Exception) -> str:
    """ECS's text for a task that stopped before it started."""
    cause = getattr(error, "message", None) or str(error)
    service = "ssm" if ":ssm:" in value_from or ":" not in value_from else "asm"
    return (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        f"retrieval failed: unable to retrieve secret from {service}: service call has been "
        f"retried 1 time(s): failed to fetch secret {value_from}: {cause}"
    )
