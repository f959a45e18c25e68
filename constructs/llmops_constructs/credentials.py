"""How a container comes by its database and its bearer tokens: injected once, or read live.

What ECS injects is what the secret held when the task started. A secret that rotates needs the
other way: the container gets the secret's ARN, the task's role may read that one secret, and the
service reads it again (`llm_service.live_tokens`, `llm_service.database`).
"""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager

from llmops_constructs._validation import Rule
from llmops_constructs.database import PostgresDatabase


@dataclass(frozen=True)
class Credentials:
    """What a container is told, and what its task's role may read for it."""

    database: PostgresDatabase | None = None
    database_secret: secretsmanager.ISecret | None = None
    """JSON with `username` and `password`; None: the database's own, its master user's."""
    live: bool = False
    token_secret: secretsmanager.ISecret | None = None

    @property
    def _secret(self) -> secretsmanager.ISecret | None:
        return self.database_secret or (self.database.secret if self.database else None)

    def rules(self) -> list[Rule]:
        """What may not be asked for."""
        return [
            (
                self.database is None and (self.live or self.database_secret is not None),
                "live_credentials and database_secret are a database's: give database.",
            )
        ]

    def variables(self) -> dict[str, str]:
        """The plain ones: addresses, names, ARNs."""
        found = {"BEARER_TOKENS_SECRET": self.token_secret.secret_arn} if self.token_secret else {}
        if self.database is None or self._secret is None:
            return found
        return {
            "DATABASE_HOST": self.database.host,
            "DATABASE_PORT": self.database.port,
            "DATABASE_NAME": self.database.database_name,
            **({"DATABASE_SECRET": self._secret.secret_arn} if self.live else {}),
            **found,
        }

    def injected(self) -> dict[str, ecs.Secret]:
        """What ECS reads before the container starts."""
        if self.live or self._secret is None:
            return {}
        return {
            "DATABASE_USER": ecs.Secret.from_secrets_manager(self._secret, "username"),
            "DATABASE_PASSWORD": ecs.Secret.from_secrets_manager(self._secret, "password"),
        }

    def allow(self, role: iam.Role) -> None:
        """Lets the task's role read what the container reads itself."""
        if self.live and self._secret:
            allow_secret(role, self._secret)
        if self.token_secret:
            allow_secret(role, self.token_secret)


def allow_secret(role: iam.Role, secret: secretsmanager.ISecret) -> None:
    """Lets a role read one secret, and decrypt it if it has a key of the account's own."""
    arn = secret.secret_full_arn or f"{secret.secret_arn}-??????"
    role.add_to_policy(
        iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[arn])
    )
    if secret.encryption_key is None:
        return
    service = f"secretsmanager.{cdk.Stack.of(role).region}.amazonaws.com"
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt"],
            resources=[secret.encryption_key.key_arn],
            conditions={
                "StringEquals": {"kms:ViaService": service},
                "StringLike": {"kms:EncryptionContext:SecretARN": arn},
            },
        )
    )
