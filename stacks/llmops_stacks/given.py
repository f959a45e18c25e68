"""What a release is given by the stacks below it, wherever it runs: secrets, objects, the cache."""

from __future__ import annotations

from typing import Protocol

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import SecretVariable
from llmops_runbooks.settings import Environment
from llmops_stacks.data import DataStack

CACHE_PORT = 6379
READ = ("corpus/*", "bundles/*")
"""The keys of the artifact bucket that a release reads."""


class Runs(Protocol):
    """A construct that runs releases."""

    def allow_objects(self, bucket: s3.IBucket, keys: str) -> None:
        """Lets it read the objects of a bucket whose keys match."""

    def connect_to(self, group: ec2.ISecurityGroup, port: int, what: str) -> None:
        """Lets it connect to what is behind a security group."""


def let_reach(runs: Runs, data: DataStack) -> None:
    """Lets a release read its corpus and its bundle, and ask the cache if there is one."""
    for keys in READ:
        runs.allow_objects(data.artifacts.bucket, keys)
    if data.cache:
        runs.connect_to(data.cache.security_group, CACHE_PORT, "Cache")


def secret_variables(data: DataStack) -> dict[str, SecretVariable]:
    """Keys that only a person changes, and the cache's address; what rotates, it reads itself."""
    found = {
        f"{name.upper()}_API_KEY": SecretVariable(secret=secret, field="key")
        for name, secret in data.secrets.provider_keys.items()
    }
    if langfuse := data.secrets.langfuse:
        for field in ("public_key", "secret_key"):
            found[f"LANGFUSE_{field.upper()}"] = SecretVariable(secret=langfuse, field=field)
    if data.cache:
        found["VALKEY_URL"] = SecretVariable(secret=data.cache.url_secret)
    return found


def scorer_key(scope: Construct, environment: Environment) -> dict[str, SecretVariable]:
    """The key of the model that judges answers, where there is one."""
    arn = environment.scoring.key_secret_arn
    if not (environment.scoring.url and arn):
        return {}
    key = secretsmanager.Secret.from_secret_complete_arn(scope, "ScorerKey", arn)
    return {"SCORER_KEY": SecretVariable(secret=key)}


def injected(variables: dict[str, SecretVariable]) -> dict[str, ecs.Secret]:
    """The same for a task, whose secrets ECS reads before its container starts."""
    return {
        name: ecs.Secret.from_secrets_manager(each.secret, each.field)
        for name, each in variables.items()
    }
