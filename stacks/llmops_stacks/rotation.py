"""The rotation stack: secrets that change by themselves."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import DatabaseUserRotation, Network, TokenRotation
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.bundle import staged_rotation
from llmops_stacks.common import Common
from llmops_stacks.data import DataStack


class RotationStack(EnvironmentStack):
    """The functions that rotate bearer tokens and the service's user of the database."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        network: Network,
        data: DataStack,
        common: Common,
    ) -> None:
        super().__init__(scope, "rotation", environment)
        days = environment.secrets.rotation_days
        with staged_rotation() as folder:
            code = lambda_.Code.from_asset(str(folder))
            self.tokens = TokenRotation(
                self,
                "Tokens",
                prefix=environment.prefix,
                tokens=data.secrets.tokens,
                code=code,
                handler="llmops_functions.rotate.tokens.handler",
                days=days,
                encryption_key=common.key,
                removal_policy=self.removal_policy,
            )
            self.database = DatabaseUserRotation(
                self,
                "Database",
                prefix=environment.prefix,
                database=data.database,
                user=environment.service_name.replace("-", "_"),
                code=code,
                handler="llmops_functions.rotate.database.handler",
                vpc=network.vpc,
                vpc_subnets=network.function_subnets,
                ipv6=network.ipv6,
                days=days,
                adopt_tables=True,
                encryption_key=common.key,
                removal_policy=self.removal_policy,
            )

    @property
    def user(self) -> secretsmanager.ISecret:
        """What the service connects to the database with."""
        return self.database.secret

    @property
    def functions(self) -> dict[str, lambda_.IFunction]:
        """What rotates which secret."""
        return {"tokens": self.tokens.function, "database": self.database.function}
