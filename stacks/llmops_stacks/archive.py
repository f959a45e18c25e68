"""The archive stack: log lines, kept longer and cheaper than CloudWatch keeps them."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs import TelemetryArchive
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.common import Common


class ArchiveStack(EnvironmentStack):
    """A bucket that gets a copy of what the service writes."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        common: Common,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, "archive", environment)
        self.archive = TelemetryArchive(
            self,
            "Archive",
            prefix=environment.prefix,
            expiry_days=environment.storage.archive_days,
            access_log_bucket=common.access_log_bucket,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )
        self.archive.archive(log_group, "service")
