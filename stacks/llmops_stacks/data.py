"""The data stack: everything that must outlive the service."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from llmops_constructs import ArtifactStore, Database, ImageRepository, Network, ServiceSecrets
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack


class DataStack(EnvironmentStack):
    """Database, artifact bucket, secrets and image repository."""

    def __init__(self, scope: Construct, environment: Environment, network: Network) -> None:
        super().__init__(scope, "data", environment)
        self.database = self._make_database(environment, network)
        self.artifacts = ArtifactStore(self, "Artifacts", removal_policy=self.removal_policy)
        self.secrets = ServiceSecrets(self, "Secrets", removal_policy=self.removal_policy)
        self.images = ImageRepository(
            self, "Images", repository_name=environment.prefix, removal_policy=self.removal_policy
        )
        self._tell_deploy()

    def _tell_deploy(self) -> None:
        """Where the first release is published to, before the service stack exists."""
        for name, value in (
            ("ArtifactBucket", self.artifacts.bucket.bucket_name),
            ("Repository", self.images.repository.repository_name),
            ("RepositoryUri", self.images.repository.repository_uri),
        ):
            cdk.CfnOutput(self, name, value=value)

    def _make_database(self, environment: Environment, network: Network) -> Database:
        settings = environment.database
        protected = settings.deletion_protection
        return Database(
            self,
            "Database",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            database_name=environment.service_name.replace("-", "_"),
            instance_class=settings.instance_class,
            allocated_gib=settings.allocated_gib,
            multi_az=settings.multi_az,
            backup_days=settings.backup_days,
            deletion_protection=protected,
            removal_policy=cdk.RemovalPolicy.DESTROY
            if self.throw_away and not protected
            else cdk.RemovalPolicy.SNAPSHOT,
        )
