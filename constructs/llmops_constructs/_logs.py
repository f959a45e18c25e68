"""Log groups, all made the same way."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs.names import log_group_name


@dataclass(frozen=True)
class Kept:
    """How lines are kept: for how long, encrypted with what, and whether without their stack."""

    retention: logs.RetentionDays
    encryption_key: kms.IKey | None
    removal_policy: cdk.RemovalPolicy


def own_log(scope: Construct, prefix: str, what: str, kept: Kept) -> logs.LogGroup:
    """The log group `/llmops/<prefix>/<what>`: what one part of a service writes to."""
    return log_group(
        scope,
        "Logs",
        name=log_group_name(prefix, what),
        retention=kept.retention,
        encryption_key=kept.encryption_key,
        removal_policy=kept.removal_policy,
    )


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
