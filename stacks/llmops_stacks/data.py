"""The data stack: everything that must outlive the service."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from llmops_constructs import (
    ArtifactStore,
    AuroraDatabase,
    BackupPlan,
    Database,
    ImageRepository,
    JobsQueue,
    Network,
    PostgresDatabase,
    ServiceSecrets,
    SessionStore,
    ValkeyCache,
    VaultLock,
)
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.common import Common

JOB_SECONDS = 60
"""For which a job's message is hidden at a time."""
MONITORING_SECONDS = 60


class DataStack(EnvironmentStack):
    """Database, artifacts, secrets, images; and what else the settings ask to be kept."""

    def __init__(
        self, scope: Construct, environment: Environment, network: Network, common: Common
    ) -> None:
        super().__init__(scope, "data", environment)
        self._environment, self._common = environment, common
        self.database: PostgresDatabase = self._make_database(network)
        self.artifacts = ArtifactStore(
            self,
            "Artifacts",
            access_log_bucket=common.access_log_bucket,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )
        self.secrets = ServiceSecrets(
            self,
            "Secrets",
            rotated=environment.secrets.rotation_days > 0,
            providers=environment.secrets.providers,
            with_langfuse=environment.secrets.langfuse_host is not None,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )
        self.images = ImageRepository(
            self,
            "Images",
            repository_name=environment.prefix,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )
        self.cache = self._make_cache(network) if environment.storage.valkey else None
        self.sessions = self._make_sessions() if environment.storage.sessions else None
        if self.sessions:
            cdk.CfnOutput(self, "SessionTable", value=self.sessions.table.table_name)
        self.jobs = self._make_jobs() if environment.jobs.enabled else None
        if environment.storage.backup:
            self._back_up()
        self._tell_deploy()

    def _tell_deploy(self) -> None:
        """Where the first release is published to, before the service stack exists."""
        for name, value in (
            ("ArtifactBucket", self.artifacts.bucket.bucket_name),
            ("Repository", self.images.repository.repository_name),
            ("RepositoryUri", self.images.repository.repository_uri),
        ):
            cdk.CfnOutput(self, name, value=value)

    def _make_database(self, network: Network) -> PostgresDatabase:
        settings = self._environment.database
        shared = self._of_any_database(network)
        if settings.engine == "aurora":
            return AuroraDatabase(
                self,
                "Database",
                **shared,
                min_acu=settings.minimum_acu,
                max_acu=settings.maximum_acu,
                backup_days=max(1, settings.backup_days),
            )
        return Database(
            self,
            "Database",
            **shared,
            instance_class=settings.instance_class,
            allocated_gib=settings.allocated_gib,
            backup_days=settings.backup_days,
        )

    def _of_any_database(self, network: Network) -> dict[str, Any]:
        """What an instance and a cluster are both told; a protected one leaves a snapshot."""
        settings = self._environment.database
        lost = self.throw_away and not settings.deletion_protection
        return {
            "vpc": network.vpc,
            "vpc_subnets": network.database_subnets,
            "database_name": self._environment.service_name.replace("-", "_"),
            "multi_az": settings.multi_az,
            "monitoring_seconds": MONITORING_SECONDS if settings.enhanced_monitoring else 0,
            "deletion_protection": settings.deletion_protection,
            "encryption_key": self._common.key,
            "removal_policy": cdk.RemovalPolicy.DESTROY if lost else cdk.RemovalPolicy.SNAPSHOT,
        }

    def _make_cache(self, network: Network) -> ValkeyCache:
        return ValkeyCache(
            self,
            "Cache",
            prefix=self._environment.prefix,
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            encryption_key=self._common.key,
            removal_policy=self.removal_policy,
        )

    def _make_sessions(self) -> SessionStore:
        return SessionStore(
            self,
            "Sessions",
            deletion_protection=not self.throw_away,
            encryption_key=self._common.key,
            removal_policy=self.removal_policy,
        )

    def _make_jobs(self) -> JobsQueue:
        """Lambda's guide asks for six times a function's time-out."""
        hidden = JOB_SECONDS
        if self._environment.compute == "lambda":
            hidden = 6 * self._environment.function.timeout_seconds
        return JobsQueue(
            self,
            "Jobs",
            prefix=self._environment.prefix,
            visibility_seconds=hidden,
            encryption_key=self._common.key,
            removal_policy=self.removal_policy,
        )

    def _back_up(self) -> None:
        days = self._environment.storage.vault_lock_days
        BackupPlan(
            self,
            "Backup",
            prefix=self._environment.prefix,
            databases=[self.database],
            tables=[self.sessions.table] if self.sessions else [],
            buckets=[self.artifacts.bucket],
            lock=VaultLock(min_days=days) if days else None,
            encryption_key=self._common.key,
            removal_policy=self.removal_policy,
        )
