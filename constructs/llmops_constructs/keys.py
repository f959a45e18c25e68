"""The key a service's data, logs and alarms are encrypted with.

The key's policy follows what each user of it documents: CloudWatch Logs by its encryption context
("Encrypt log data in CloudWatch Logs using AWS KMS"), alarms and budgets, which publish to an
encrypted topic, by the account they act for ("Enable compatibility between event sources from AWS
services and encrypted topics" of the SNS guide). EventBridge is left out: its requests carry no
account, so that a statement for it could not be kept to this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from llmops_constructs._validation import check, outside

LOG_ACTIONS = (
    "kms:DescribeKey",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
READ_ACTIONS = ("kms:Decrypt",)
WRITE_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
TABLE_ACTIONS = LOG_ACTIONS
"""What DynamoDB asks of whoever uses a table with a customer's key ("How Amazon DynamoDB uses AWS
KMS", authorizing use of your customer managed key); the same as CloudWatch Logs."""
PUBLISH_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
PUBLISHERS = {"Alarms": "cloudwatch.amazonaws.com", "Budgets": "budgets.amazonaws.com"}
"""Who writes to topics without a role of the account."""


class EncryptionKey(Construct):
    """A customer-managed key: rotated every year, usable by this account's logs and topics.

    Whoever else uses it does so by a role of the account, whose own policy says so: the key's
    policy hands that decision to IAM, as a key's default policy does.

    :param alias: its name, without `alias/`; letters, digits and `/_-`.
    :param existing_key: used instead; nothing is created, no alias is given, and its policy must
        already let CloudWatch Logs, alarms and budgets in. Default: a new key.
    :param pending_days: 7 to 30 days in which a key that is deleted can be taken back.
    :param removal_policy: default: the key stays when the stack goes, as without it nothing that
        it encrypted can be read again.

    Example::

        key = llm.EncryptionKey(stack, "Key", alias="handbook-prod")
        llm.ArtifactStore(stack, "Artifacts", encryption_key=key.key)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        alias: str,
        existing_key: kms.IKey | None = None,
        pending_days: int = 30,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    alias.startswith(("alias/", "aws/")),
                    f"alias '{alias}' is given without 'alias/' and may not begin with 'aws/'.",
                ),
                (
                    outside(pending_days, 7, 30),
                    f"pending_days is {pending_days}; KMS allows 7 to 30.",
                ),
            ],
        )
        self.key: kms.IKey = existing_key or self._make(alias, pending_days, removal_policy)

    def _make(self, alias: str, pending_days: int, removal: cdk.RemovalPolicy) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=alias,
            description=f"Data, logs and alarms of {alias}",
            enable_key_rotation=True,
            pending_window=cdk.Duration.days(pending_days),
            removal_policy=removal,
        )
        stack = cdk.Stack.of(self)
        key.add_to_resource_policy(_for_logs(stack))
        for name, service in PUBLISHERS.items():
            key.add_to_resource_policy(_for_publisher(stack, name, service))
        return key


def allow_key(
    role: iam.IGrantable, key: kms.IKey | None, service: str, actions: Sequence[str] = READ_ACTIONS
) -> None:
    """Lets a role use a key, through one service only; nothing without a key.

    :param service: as in `kms:ViaService`: `s3`, `dynamodb`, `secretsmanager`, `sqs`.
    """
    if key is None:
        return
    via = f"{service}.{cdk.Stack.of(key).region}.amazonaws.com"
    role.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(
            actions=list(actions),
            resources=[key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": via}},
        )
    )


def _for_logs(stack: cdk.Stack) -> iam.PolicyStatement:
    groups = stack.format_arn(
        service="logs",
        resource="log-group",
        resource_name="*",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    return iam.PolicyStatement(
        sid="Logs",
        principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
        actions=list(LOG_ACTIONS),
        resources=["*"],
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    )


def _for_publisher(stack: cdk.Stack, name: str, service: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=name,
        principals=[iam.ServicePrincipal(service)],
        actions=list(PUBLISH_ACTIONS),
        resources=["*"],
        conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
    )
