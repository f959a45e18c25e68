"""The common stack: what every other stack of an environment may use."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import AccessLogs, AlarmTopics, EncryptionKey, SlackChannel
from llmops_runbooks.infrastructure_tables import Alerts
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack


@dataclass(frozen=True)
class Common:
    """What the stacks of an environment share; None: it has none."""

    key: kms.IKey | None = None
    access_log_bucket: s3.IBucket | None = None
    topics: AlarmTopics | None = None


class CommonStack(EnvironmentStack):
    """The key, the bucket for access logs and the topics of alarms, as far as asked for."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "common", environment)
        key = self._key(environment)
        logs = None
        if environment.edge.access_logs:
            logs = AccessLogs(self, "AccessLogs", removal_policy=self.removal_policy).bucket
        alerts = environment.alerts
        topics = self._topics(environment, alerts, key) if alerts.anybody else None
        self.common = Common(key, logs, topics)

    @staticmethod
    def wanted(environment: Environment) -> bool:
        """Whether anything would be in it: CloudFormation takes no empty stack."""
        return (
            environment.encryption.customer_key
            or environment.edge.access_logs
            or environment.alerts.anybody
        )

    def _key(self, environment: Environment) -> kms.IKey | None:
        if not environment.encryption.customer_key:
            return None
        made = EncryptionKey(
            self, "Key", alias=environment.prefix, removal_policy=self.removal_policy
        )
        # As an imported one: a grant of another stack would else be written into its policy, and
        # this stack would depend on that one. The policy leaves it to IAM who may use the key.
        return kms.Key.from_key_arn(self, "Shared", made.key.key_arn)

    def _topics(
        self, environment: Environment, alerts: Alerts, encryption_key: kms.IKey | None
    ) -> AlarmTopics:
        slack = None
        if alerts.slack_workspace and alerts.slack_channel:
            slack = SlackChannel(
                workspace_id=alerts.slack_workspace, channel_id=alerts.slack_channel
            )
        pagerduty = None
        if alerts.pagerduty_secret_arn:
            pagerduty = secretsmanager.Secret.from_secret_complete_arn(
                self, "PagerDuty", alerts.pagerduty_secret_arn
            )
        return AlarmTopics(
            self,
            "Topics",
            prefix=environment.prefix,
            emails=alerts.emails,
            slack=slack,
            pagerduty_secret=pagerduty,
            encryption_key=encryption_key,
        )
