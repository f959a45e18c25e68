"""The delivery stack: who may deploy the environment from GitHub or by a pipeline.

It refers to no other stack, and is made first, by an administrator: everything after it can then
be left to the roles in it.
"""

from __future__ import annotations

import re

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from llmops_constructs import (
    AccessLogs,
    AlarmTopics,
    DeployPipeline,
    DeployRole,
    DeployTarget,
    EncryptionKey,
    GitHubProvider,
    resource_name,
)
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack

IDS = re.compile(r"@\d+")
"""What a repository's tokens add to its names, and a connection does not know."""


class DeliveryStack(EnvironmentStack):
    """A role for GitHub, a pipeline, or both."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "delivery", environment)
        self.github_role: DeployRole | None = None
        self.pipeline: DeployPipeline | None = None
        repository = environment.delivery.repository
        if repository is None:
            return
        self.github_role = self._for_github(environment, repository)
        connection = environment.delivery.pipeline_connection_arn
        if connection:
            name = IDS.sub("", repository)
            self.pipeline = self._pipeline(environment, name, connection)

    @staticmethod
    def wanted(environment: Environment) -> bool:
        """Whether anything would be in it: CloudFormation takes no empty stack."""
        return environment.delivery.repository is not None

    def _for_github(self, environment: Environment, repository: str) -> DeployRole:
        there = None
        if environment.delivery.existing_oidc_provider:
            there = iam.OidcProviderNative.from_oidc_provider_arn(
                self, "ExistingGitHub", GitHubProvider.arn(self)
            )
        github = GitHubProvider(self, "GitHub", existing_provider=there)
        role = DeployRole(
            self,
            "Deploy",
            prefix=environment.prefix,
            service_name=environment.service_name,
            environment=environment.name,
            repository=repository,
            provider=github.provider,
        )
        cdk.CfnOutput(self, "DeployRoleArn", value=role.role.role_arn)
        return role

    def _pipeline(
        self, environment: Environment, repository: str, connection: str
    ) -> DeployPipeline:
        """With a person's approval, unless the environment is there to be thrown away."""
        prefix = resource_name(environment.prefix, "delivery")
        key: kms.IKey | None = None
        if environment.encryption.customer_key:
            key = EncryptionKey(self, "Key", alias=prefix, removal_policy=self.removal_policy).key
        logs = None
        if environment.edge.access_logs:
            logs = AccessLogs(self, "AccessLogs", removal_policy=self.removal_policy).bucket
        topics = None
        if environment.alerts.emails:
            topics = AlarmTopics(
                self,
                "Topics",
                prefix=prefix,
                emails=environment.alerts.emails,
                encryption_key=key,
            )
        target = DeployTarget(
            environment=environment.name,
            prefix=environment.prefix,
            service_name=environment.service_name,
            approval=not environment.throw_away,
        )
        return DeployPipeline(
            self,
            "Pipeline",
            prefix=prefix,
            repository=repository,
            connection_arn=connection,
            targets=[target],
            topics=topics,
            access_log_bucket=logs,
            encryption_key=key,
            removal_policy=self.removal_policy,
        )
