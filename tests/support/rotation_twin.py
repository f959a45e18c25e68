"""What Secrets Manager does around a rotation function, over moto's secrets.

moto makes the new version the current one by itself, whatever the function does; AWS leaves it to
the function. So a rotation begins here as AWS begins it: a version with the label AWSPENDING and
no value, in a secret whose rotation is on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends

ACCOUNT, REGION = "123456789012", "us-east-1"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")

Function = Callable[[Mapping[str, Any]], object]


def _secret(arn: str) -> Any:
    return secretsmanager_backends[ACCOUNT][REGION].secrets[arn]


def schedule(arn: str) -> None:
    """Turns the rotation of a secret on."""
    secret = _secret(arn)
    secret.rotation_requested = secret.rotation_enabled = True


def begin(arn: str) -> str:
    """A new rotation; the id of its version."""
    secret = _secret(arn)
    token = str(uuid.uuid4())
    secret.remove_version_stages_from_old_versions(["AWSPENDING"])
    secret.versions[token] = {
        "createdate": 0,
        "version_id": token,
        "version_stages": ["AWSPENDING"],
    }
    return token


def event(arn: str, token: str, step: str) -> dict[str, Any]:
    """What the function is called with."""
    return {"Step": step, "SecretId": arn, "ClientRequestToken": token}


def rotate(arn: str, function: Function, token: str = "") -> str:
    """All four steps; the id of the version they made."""
    token = token or begin(arn)
    for step in STEPS:
        function(event(arn, token, step))
    return token
