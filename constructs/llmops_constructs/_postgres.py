"""What an instance of RDS and a cluster of Aurora share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from llmops_constructs._findings import acknowledge, acknowledge_rule, acknowledge_wildcard
from llmops_constructs._logs import log_group
from llmops_constructs._validation import Rule, outside

MASTER = "llmops"
"""The master user, whose password RDS makes, keeps and rotates."""
INTERVALS = (0, 1, 5, 10, 15, 30, 60)
"""Seconds that enhanced monitoring knows; 0 is none."""
OPERATING_SYSTEM_LOG = "RDSOSMetrics"
"""The log group of the account that enhanced monitoring writes to."""


def identifier(scope: Construct, given: str | None) -> str:
    """The name of an instance or cluster: the one given, else one made of the construct's path.

    It is needed before RDS makes the instance: RDS would make the log groups of an instance
    itself, without encryption and for ever, if they were not there first.
    """
    if given is not None:
        return given
    made = cdk.Names.unique_resource_name(
        scope, max_length=60, separator="-", allowed_special_characters="-"
    )
    return re.sub("-+", "-", made).strip("-").lower()


def rules(
    identifier: str, database_name: str, backup_days: int, monitoring_seconds: int
) -> list[Rule]:
    """What CreateDBInstance and CreateDBCluster both ask for."""
    return [
        (
            re.fullmatch(r"(?=.{1,63}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*", identifier) is None,
            f"identifier '{identifier}' must be a letter, then letters, digits and single hyphens.",
        ),
        (
            re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", database_name) is None,
            f"database_name '{database_name}' must be a letter, then letters, digits or _.",
        ),
        (
            monitoring_seconds not in INTERVALS,
            f"monitoring_seconds is {monitoring_seconds}; RDS knows {INTERVALS}.",
        ),
        (outside(backup_days, 0, 35), f"backup_days is {backup_days}; RDS allows 0 to 35."),
    ]


def removal_rules(protected: bool, removal_policy: cdk.RemovalPolicy) -> list[Rule]:
    """Protected and thrown away exclude each other."""
    return [
        (
            protected and removal_policy == cdk.RemovalPolicy.DESTROY,
            "deletion_protection contradicts removal_policy DESTROY: drop one of them.",
        )
    ]


def adoption_rules(
    existing: ec2.IConnectable | None,
    secret: object | None,
    vpc: object | None,
    vpc_subnets: object | None,
) -> list[Rule]:
    """An existing database brings its secret and its one security group; a new one needs a VPC."""
    new = existing is None
    groups = 0 if existing is None else len(existing.connections.security_groups)
    return [
        (new and vpc is None, "vpc: a new database needs one."),
        (vpc is not None and vpc_subnets is None, "vpc_subnets: in which of the VPC's?"),
        (new and secret is not None, "existing_secret is for an existing database."),
        (not new and secret is None, "existing_secret: where is the existing database's user?"),
        (
            not new and groups != 1,
            f"The existing database has {groups} security groups here; it must come with one, "
            "the one that lets clients in.",
        ),
    ]


def security_group(scope: Construct, vpc: ec2.IVpc) -> ec2.SecurityGroup:
    """Lets nobody in until a stack says so."""
    return ec2.SecurityGroup(
        scope,
        "Group",
        vpc=vpc,
        description="The database: in comes whom a stack lets in, out goes nothing",
        allow_all_outbound=False,
    )


def log_groups(
    scope: Construct,
    owner: str,
    *,
    exported: Sequence[str],
    retention: logs.RetentionDays,
    encryption_key: kms.IKey | None,
    removal_policy: cdk.RemovalPolicy,
) -> list[logs.LogGroup]:
    """Where RDS exports the logs of `instance/NAME` or `cluster/NAME`; made before it."""
    destroys = removal_policy == cdk.RemovalPolicy.DESTROY
    return [
        log_group(
            scope,
            f"{each.capitalize()}Logs",
            name=f"/aws/rds/{owner}/{each}",
            retention=retention,
            encryption_key=encryption_key,
            removal_policy=cdk.RemovalPolicy.DESTROY if destroys else cdk.RemovalPolicy.RETAIN,
        )
        for each in exported
    ]


def after(database: Construct, groups: Iterable[IDependable], role: iam.Role | None) -> None:
    """Makes a database wait for its log groups and for what its monitoring role may do."""
    database.node.add_dependency(*groups)
    if role:
        database.node.add_dependency(role.node.find_child("DefaultPolicy"))


def kept(
    encryption_key: kms.IKey | None, exported: Sequence[str], removal_policy: cdk.RemovalPolicy
) -> dict[str, Any]:
    """How data, password and logs are kept, as both L2 constructs take it.

    The automated backups go with the database only where all of it is to be thrown away. Of the
    credentials only the user's name is given; the password is RDS's.
    """
    return {
        "credentials": rds.Credentials.from_username(MASTER, encryption_key=encryption_key),
        "manage_master_user_password": True,
        "storage_encrypted": True,
        "storage_encryption_key": encryption_key,
        "copy_tags_to_snapshot": True,
        "delete_automated_backups": removal_policy == cdk.RemovalPolicy.DESTROY,
        "cloudwatch_logs_exports": list(exported),
        "removal_policy": removal_policy,
    }


def access(iam_authentication: bool, force_ssl: bool) -> dict[str, Any]:
    """How clients may log in, as both L2 constructs take it."""
    return {
        "iam_authentication": iam_authentication,
        "parameters": {"rds.force_ssl": "1" if force_ssl else "0"},
    }


def monitoring(scope: Construct, seconds: int) -> dict[str, Any]:
    """Enhanced monitoring, as both L2 constructs take it; nothing for 0."""
    if not seconds:
        return {}
    return {
        "monitoring_interval": cdk.Duration.seconds(seconds),
        "monitoring_role": _monitoring_role(scope),
    }


def _monitoring_role(scope: Construct) -> iam.Role:
    """Lets RDS write an instance's operating system metrics.

    What the managed policy AmazonRDSEnhancedMonitoringRole allows, for the one log group that is
    written to.
    """
    stack = cdk.Stack.of(scope)
    role = iam.Role(
        scope,
        "MonitoringRole",
        description="RDS writes the metrics of the operating system",
        assumed_by=iam.ServicePrincipal(
            "monitoring.rds.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
        ),
    )
    for actions, name in (
        (["logs:CreateLogGroup", "logs:PutRetentionPolicy"], f"{OPERATING_SYSTEM_LOG}*"),
        (
            [
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:GetLogEvents",
                "logs:PutLogEvents",
            ],
            f"{OPERATING_SYSTEM_LOG}:log-stream:*",
        ),
    ):
        arn = stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[arn]))
        acknowledge_wildcard(role, arn, "RDS names the log group's streams after instances.")
    return role


def allow_user(scope: Construct, role: iam.IRole, resource_id: str, user: str) -> None:
    """Lets a role connect as one user, with a token instead of a password."""
    arn = cdk.Stack.of(scope).format_arn(
        service="rds-db",
        resource="dbuser",
        resource_name=f"{resource_id}/{user}",
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    role.add_to_principal_policy(iam.PolicyStatement(actions=["rds-db:connect"], resources=[arn]))


def secret_of(
    scope: Construct, database: object, given: secretsmanager.ISecret | None
) -> secretsmanager.ISecret:
    """The existing database's secret, else the one RDS manages."""
    secret = given or getattr(database, "secret", None)
    if secret is None:
        raise LookupError(f"{scope.node.path}: RDS manages no secret for this database.")
    found: secretsmanager.ISecret = secret
    return found


def acknowledge_choices(
    database: Construct, choices: Mapping[str, tuple[bool, str | None, str]]
) -> None:
    """AWS Solutions' rule, whether it was asked for, the conformance packs' rule, the reason."""
    for rule, (asked, other, reason) in choices.items():
        if asked:
            acknowledge(database, f"AwsSolutions-{rule}", reason)
        if asked and other:
            acknowledge_rule(database, other, reason)
