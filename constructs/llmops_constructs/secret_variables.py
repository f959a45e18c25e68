"""Variables whose values a function reads from Secrets Manager itself, when a container starts.

Lambda injects no secrets as ECS does: a value in the function's configuration could be read by
everybody who may look at functions. The configuration says where the values are, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs.credentials import allow_secret

VARIABLE = "SECRET_VARIABLES"


@dataclass(frozen=True, kw_only=True)
class SecretVariable:
    """Where the value of a variable is."""

    secret: secretsmanager.ISecret
    field: str | None = None
    """A key of the secret's JSON; None: its whole text."""

    @property
    def place(self) -> str:
        """The ARN, and behind a # the key."""
        return self.secret.secret_arn + (f"#{self.field}" if self.field else "")


def places(scope: Construct, secrets: Mapping[str, SecretVariable]) -> dict[str, str]:
    """The one variable that says where the others are, as JSON; none without secrets."""
    if not secrets:
        return {}
    found = {name: each.place for name, each in secrets.items()}
    return {VARIABLE: cdk.Stack.of(scope).to_json_string(found)}


def allow_secrets(role: iam.Role, secrets: Mapping[str, SecretVariable]) -> None:
    """Lets a role read the secrets, each once."""
    for secret in {each.secret.secret_arn: each.secret for each in secrets.values()}.values():
        allow_secret(role, secret)
