"""Where conversations are kept between two requests."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.keys import TABLE_ACTIONS, allow_key

ACTIONS = (
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
"""What a service does with its sessions; it never scans, and never touches the table itself."""


class SessionStore(Construct):
    """A DynamoDB table: paid by request, encrypted, restorable to any second of 35 days.

    An item whose `ttl_attribute` (epoch seconds) has passed is deleted within a few days, for
    nothing; a reader must still look at the attribute.

    :param table_name: default: CloudFormation's choice.
    :param partition_key, sort_key: names of string attributes. Default: one item per session.
    :param ttl_attribute: the attribute, a number, that says when an item ends.
    :param point_in_time_recovery: default: on; charged by the table's size.
    :param deletion_protection: default: DynamoDB refuses to delete the table.
    :param encryption_key: default: a key DynamoDB owns, which costs nothing and shows in no trail.
    :param existing_table: used instead; nothing is created. `grant` works on it as well.
    :param removal_policy: default: the table stays when the stack goes.

    Example::

        from aws_cdk import aws_iam as iam

        sessions = llm.SessionStore(stack, "Sessions")
        role = iam.Role(stack, "Task", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        sessions.grant(role)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        table_name: str | None = None,
        partition_key: str = "session_id",
        sort_key: str | None = None,
        ttl_attribute: str = "expires_at",
        point_in_time_recovery: bool = True,
        deletion_protection: bool = True,
        encryption_key: kms.IKey | None = None,
        existing_table: dynamodb.ITable | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.partition_key, self.sort_key = partition_key, sort_key
        self.ttl_attribute = ttl_attribute
        keys = (partition_key, sort_key)
        check(
            self,
            [
                (partition_key == sort_key, f"'{partition_key}' cannot be both keys."),
                (ttl_attribute in keys, f"ttl_attribute '{ttl_attribute}' is a key, a string."),
                (
                    deletion_protection and removal_policy == cdk.RemovalPolicy.DESTROY,
                    "deletion_protection contradicts removal_policy DESTROY: drop one of them.",
                ),
            ],
        )
        self.table: dynamodb.ITable = existing_table or self._make(
            encryption_key,
            table_name=table_name,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=point_in_time_recovery
            ),
            deletion_protection=deletion_protection,
            removal_policy=removal_policy,
        )

    def grant(self, role: iam.IRole) -> None:
        """Lets a role read, write and delete single sessions, and the items of one."""
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=list(ACTIONS), resources=[self.table.table_arn])
        )
        allow_key(role, self.table.encryption_key, "dynamodb", TABLE_ACTIONS)

    def _make(self, encryption_key: kms.IKey | None, **asked: Any) -> dynamodb.Table:
        encryption = dynamodb.TableEncryption
        return dynamodb.Table(
            self,
            "Table",
            **asked,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            partition_key=_string(self.partition_key),
            sort_key=_string(self.sort_key) if self.sort_key else None,
            time_to_live_attribute=self.ttl_attribute,
            encryption=encryption.CUSTOMER_MANAGED if encryption_key else encryption.DEFAULT,
            encryption_key=encryption_key,
        )


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
