"""What a stack did not make itself: a network, the way to a service, an alarm, a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import Routing

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/handbook@sha256:{'0' * 64}"


def vpc(stack: cdk.Stack) -> ec2.IVpc:
    """Two zones, each with a public and a private subnet."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0123456789abcdef0",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=["us-east-1a", "us-east-1b"],
        private_subnet_ids=["subnet-0a000000000000001", "subnet-0a000000000000002"],
        public_subnet_ids=["subnet-0b000000000000001", "subnet-0b000000000000002"],
    )


def private() -> ec2.SubnetSelection:
    """The subnets of tasks."""
    return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)


def routing(stack: cdk.Stack) -> Routing:
    """Two target groups behind a load balancer of another stack."""
    return Routing(
        target_group_arn=f"{PREFIX}:targetgroup/blue/0123456789abcdef",
        alternate_target_group_arn=f"{PREFIX}:targetgroup/green/fedcba9876543210",
        production_rule_arn=f"{PREFIX}:listener-rule/app/one/01234567/01234567/01234567",
        test_rule_arn=f"{PREFIX}:listener-rule/app/one/01234567/76543210/76543210",
        security_group_id="sg-0123456789abcdef0",
        ready=Construct(stack, "Ready"),
    )


def alarm(stack: cdk.Stack) -> cloudwatch.IAlarm:
    """An alarm that rolls back."""
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:handbook-5xx"
    return cloudwatch.Alarm.from_alarm_arn(stack, "Alarm", arn)


def cluster(stack: cdk.Stack, network: ec2.IVpc) -> ecs.ICluster:
    """A cluster that others use too."""
    return ecs.Cluster.from_cluster_attributes(
        stack, "Shared", cluster_name="shared", vpc=network, security_groups=[]
    )


def public() -> ec2.SubnetSelection:
    """The subnets of a load balancer that faces the internet."""
    return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)


def secret(stack: cdk.Stack, name: str, key: kms.IKey | None = None) -> secretsmanager.ISecret:
    """A secret that others made."""
    arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    return secretsmanager.Secret.from_secret_attributes(
        stack, name.title(), secret_complete_arn=arn, encryption_key=key
    )


def group(stack: cdk.Stack) -> ec2.ISecurityGroup:
    """The security group of somebody's load balancer."""
    return ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0fedcba9876543210")


@dataclass(frozen=True)
class Postgres:
    """A database of another stack."""

    secret: secretsmanager.ISecret
    security_group: ec2.ISecurityGroup
    database_name: str = "handbook"
    host: str = "database.example.org"
    port: str = "5432"
    encryption_key: kms.IKey | None = None
    resource_arn: str = "arn:aws:rds:us-east-1:123456789012:db:handbook"

    @property
    def metric_dimensions(self) -> Mapping[str, str]:
        """How CloudWatch names it."""
        return {"DBInstanceIdentifier": "handbook"}

    def allow_iam(self, role: iam.IRole, user: str) -> None:
        """Lets a role connect as a user."""
        user_arn = f"arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ABC/{user}"
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["rds-db:connect"], resources=[user_arn])
        )


def database(stack: cdk.Stack, key: kms.IKey | None = None) -> Postgres:
    """A database that others run, and its user's secret."""
    return Postgres(secret(stack, "database", key), group(stack))
