"""Dynamic references: `{{resolve:secretsmanager:...}}` and `{{resolve:ssm:...}}` in properties."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from llmops_localcloud.cloudformation.errors import ValidationError

REFERENCE = re.compile(r"\{\{resolve:(secretsmanager|ssm|ssm-secure):([^}]+)\}\}")
SECRET = re.compile(
    r"(?P<id>arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:[^:]+|[^:]+)"
    r"(?::SecretString(?::(?P<key>[^:]*)(?::(?P<stage>[^:]*)(?::(?P<version>[^:]*))?)?)?)?"
)


def resolve(value: Any, account: str, region: str) -> Any:
    """The value with its dynamic references replaced. Raises ValidationError."""
    if isinstance(value, dict):
        return {key: resolve(inner, account, region) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(item, account, region) for item in value]
    if not isinstance(value, str) or "{{resolve:" not in value:
        return value

    def look_up(match: re.Match[str]) -> str:
        try:
            if match.group(1) == "secretsmanager":
                return secret(match.group(2), account, region)
            return parameter(match.group(2), account, region)
        except (ServiceException, JsonRESTError, LookupError, ValueError) as error:
            raise ValidationError(
                f"Could not resolve the dynamic reference {match.group(0)}: "
                f"{getattr(error, 'message', error)}"
            ) from error

    return REFERENCE.sub(look_up, value)


def secret(reference: str, account: str, region: str) -> str:
    """The secret, or one key of its JSON: `id:SecretString:key:stage:version`."""
    match = SECRET.fullmatch(reference)
    if match is None:
        raise LookupError("the reference is malformed")
    backend = secretsmanager_backends[account][region]
    stage = match["stage"] or ("" if match["version"] else "AWSCURRENT")
    found = backend.get_secret_value(match["id"], match["version"] or "", stage)
    text = str(found["SecretString"])
    if not match["key"]:
        return text
    return str(json.loads(text)[match["key"]])


def parameter(reference: str, account: str, region: str) -> str:
    """The value of an SSM parameter: `name` or `name:version`."""
    found = ssm_backends[account][region].get_parameter(reference)
    if found is None:
        raise LookupError("there is no such parameter")
    return str(found.value)
