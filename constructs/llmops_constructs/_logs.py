"""Log groups, all made the same way."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


def log_group(
    scope: Construct,
    id: str,
    *,
    name: str | None,
    retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
    encryption_key: kms.IKey | None = None,
    removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
) -> logs.LogGroup:
    """A log group that forgets.

    :param name: None lets CloudFormation choose one.
    :param encryption_key: its policy must let CloudWatch Logs in, as `EncryptionKey`'s does.
        None encrypts with a key of CloudWatch Logs' own.
    """
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        retention=retention,
        encryption_key=encryption_key,
        removal_policy=removal_policy,
    )
