"""Who is told: a topic for each severity, and the ways from there to people.

CloudWatch cannot publish to a topic encrypted with AWS's own key of SNS, whose policy nobody can
change: either a customer-managed key, or none ("Troubleshooting CloudWatch alarms").

A topic with a policy of its own has lost the default one, so alarms and budgets are named in it,
for this account only, as "Creating an Amazon SNS topic for budget notifications" has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from constructs import Construct

from llmops_constructs._findings import acknowledge_wildcard
from llmops_constructs._validation import Rule, check
from llmops_constructs.alarms import Severity
from llmops_constructs.names import resource_name

SEEING_ALARMS = (
    "cloudwatch:DescribeAlarmHistory",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:DescribeAlarmsForMetric",
    "cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:GetMetricWidgetImage",
    "cloudwatch:ListMetrics",
)
"""What Amazon Q Developer reads to draw the graph beside an alarm; the part of its managed policy
for notifications ("IAM policies for Amazon Q Developer in chat applications") that can be named."""

GUARDRAIL = "CloudWatchReadOnlyAccess"
"""The most that anybody in the channel could do, whatever the role said."""

PAGERDUTY_FIELD = "url"


@dataclass(frozen=True, kw_only=True)
class SlackChannel:
    """A channel that Amazon Q Developer in chat applications may write to.

    Somebody has to let AWS into the workspace first, in the console; it is asked for once and
    CloudFormation cannot do it.
    """

    workspace_id: str
    """`T` and letters or digits."""
    channel_id: str
    """`C` or, where it is private, `G`, and letters or digits."""


class AlarmTopics(Construct):
    """A topic for pages and one for tickets, with e-mail, Slack and PagerDuty behind them.

    :param prefix: what the names of the topics begin with.
    :param emails: who gets everything. Each address confirms by the link it is sent.
    :param slack: where everything is written. Default: nowhere.
    :param pagerduty_secret: JSON with `url`, PagerDuty's address for events of CloudWatch, which
        has the integration's key in it: CloudFormation reads it, so it is in no template. Pages
        open an incident there and close it when the alarm is over. A new address needs a changed
        template: CloudFormation looks only when the subscription changes. Default: nobody is paged.
    :param encryption_key: of the topics; its policy must let CloudWatch and AWS Budgets in, as
        EncryptionKey's does. Default: the topics are not encrypted at rest, see above.
    :param existing_topics: used instead of new ones, one for each severity; their policies and
        keys are left alone. Default: new ones.

    Example::

        topics = llm.AlarmTopics(
            stack,
            "Topics",
            prefix="handbook-prod",
            emails=["operations@example.com"],
            slack=llm.SlackChannel(workspace_id="T0123ABCD", channel_id="C0123ABCD"),
        )
        topics.topic(llm.Severity.CRITICAL)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        emails: Sequence[str] = (),
        slack: SlackChannel | None = None,
        pagerduty_secret: secretsmanager.ISecret | None = None,
        encryption_key: kms.IKey | None = None,
        existing_topics: Mapping[Severity, sns.ITopic] | None = None,
    ) -> None:
        super().__init__(scope, id)
        check(self, [*_addresses(emails), *_topics(existing_topics, encryption_key)])
        self._topics: Mapping[Severity, sns.ITopic] = existing_topics or {
            severity: self._topic(prefix, severity, encryption_key) for severity in Severity
        }
        self._mail(emails)
        if slack:
            self._slack(prefix, slack)
        if pagerduty_secret:
            self._page(pagerduty_secret)

    def topic(self, severity: Severity) -> sns.ITopic:
        """Where alarms of this severity go."""
        return self._topics[severity]

    def _topic(self, prefix: str, severity: Severity, key: kms.IKey | None) -> sns.Topic:
        topic = sns.Topic(
            self,
            severity.suffix.capitalize(),
            topic_name=resource_name(prefix, severity.suffix),
            display_name=f"{prefix}: {severity.value}",
            enforce_ssl=True,
            master_key=key,
        )
        stack = cdk.Stack.of(self)
        alarms = stack.format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{prefix}-*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        bills = f"arn:{stack.partition}:budgets::{stack.account}:*"
        for name, service, source in (
            ("Alarms", "cloudwatch.amazonaws.com", alarms),
            ("Budgets", "budgets.amazonaws.com", bills),
        ):
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=name,
                    principals=[iam.ServicePrincipal(service)],
                    actions=["sns:Publish"],
                    resources=[topic.topic_arn],
                    conditions={
                        "StringEquals": {"aws:SourceAccount": stack.account},
                        "ArnLike": {"aws:SourceArn": source},
                    },
                )
            )
        return topic

    def _mail(self, emails: Sequence[str]) -> None:
        for severity, topic in self._topics.items():
            for number, address in enumerate(emails):
                sns.Subscription(
                    self,
                    f"{severity.suffix.capitalize()}Mail{number}",
                    topic=topic,
                    protocol=sns.SubscriptionProtocol.EMAIL,
                    endpoint=address,
                )

    def _slack(self, prefix: str, slack: SlackChannel) -> None:
        role = iam.Role(
            self,
            "SlackRole",
            assumed_by=iam.ServicePrincipal("chatbot.amazonaws.com"),
            description="What is looked up for a message in the channel",
        )
        role.add_to_policy(iam.PolicyStatement(actions=list(SEEING_ALARMS), resources=["*"]))
        acknowledge_wildcard(
            role, "*", "Metrics and their graphs have no ARNs; alarms of the account are only read."
        )
        chatbot.SlackChannelConfiguration(
            self,
            "Slack",
            slack_channel_configuration_name=resource_name(prefix, "alarms"),
            slack_workspace_id=slack.workspace_id,
            slack_channel_id=slack.channel_id,
            notification_topics=list(self._topics.values()),
            role=role,
            guardrail_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(GUARDRAIL)],
            logging_level=chatbot.LoggingLevel.ERROR,
        )

    def _page(self, secret: secretsmanager.ISecret) -> None:
        """A reference that CloudFormation resolves: the address is never in the template."""
        address = secret.secret_value_from_json(PAGERDUTY_FIELD).unsafe_unwrap()
        sns.CfnSubscription(
            self,
            "PagerDuty",
            topic_arn=self._topics[Severity.CRITICAL].topic_arn,
            protocol="https",
            endpoint=address,
        )


def _addresses(emails: Sequence[str]) -> list[Rule]:
    return [
        *((address.count("@") != 1, f"'{address}' is no e-mail address.") for address in emails),
        (len(set(emails)) < len(emails), "emails names an address twice."),
    ]


def _topics(existing: Mapping[Severity, sns.ITopic] | None, key: kms.IKey | None) -> list[Rule]:
    missing = [severity.suffix for severity in Severity if severity not in (existing or {})]
    return [
        (
            existing is not None and bool(missing),
            f"existing_topics has none for {', '.join(missing)}.",
        ),
        (
            existing is not None and key is not None,
            "encryption_key is for new topics; existing_topics keep theirs: drop one of them.",
        ),
    ]
