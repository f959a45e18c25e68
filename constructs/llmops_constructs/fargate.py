"""What the services of the kit on Fargate have in common: cluster, task, container, ways in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct, IDependable

from llmops_constructs._findings import acknowledge
from llmops_constructs.database import PORT as DATABASE_PORT
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.spot import SpotShare

CAPACITY_PROVIDERS = ["FARGATE", "FARGATE_SPOT"]
"""Of every account; a cluster only has to name them."""
STOP_SECONDS = 60
"""From SIGTERM to SIGKILL; Fargate allows 120."""


@dataclass(frozen=True)
class Size:
    """What one task has: units of processor, memory, and the kind of processor (None: ARM64)."""

    cpu: int
    memory_mib: int
    architecture: ecs.CpuArchitecture | None


@dataclass(frozen=True)
class Tasks:
    """Where the tasks of a service run, on what, and how many: None leaves that to another."""

    vpc_subnets: ec2.SubnetSelection
    assign_public_ip: bool
    spot: SpotShare | None
    desired_count: int | None


def cluster_of(
    scope: Construct, name: str, vpc: ec2.IVpc, existing: ecs.ICluster | None
) -> ecs.ICluster:
    """The cluster that was brought along, or a new one that may use Spot."""
    if existing:
        return existing
    cluster = ecs.Cluster(
        scope,
        "Cluster",
        cluster_name=name,
        vpc=vpc,
        container_insights_v2=ecs.ContainerInsights.ENABLED,
    )
    resource = cluster.node.default_child
    assert isinstance(resource, ecs.CfnCluster)
    resource.capacity_providers = CAPACITY_PROVIDERS
    return cluster


def task_of(
    scope: Construct, family: str, size: Size, *, execution_role: iam.Role, task_role: iam.Role
) -> ecs.FargateTaskDefinition:
    """A Linux task, on ARM64 unless another architecture is asked for."""
    task = ecs.FargateTaskDefinition(
        scope,
        "Task",
        family=family,
        cpu=size.cpu,
        memory_limit_mib=size.memory_mib,
        execution_role=execution_role,
        task_role=task_role,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=size.architecture or ecs.CpuArchitecture.ARM64,
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
        ),
    )
    acknowledge(
        task,
        "AwsSolutions-ECS2",
        "The variables are addresses and names; what is secret comes from Secrets Manager.",
    )
    return task


def add_container(
    task: ecs.FargateTaskDefinition,
    name: str,
    image_uri: str,
    log_group: logs.ILogGroup,
    *,
    environment: Mapping[str, str],
    secrets: Mapping[str, ecs.Secret],
    port: int | None = None,
    command: Sequence[str] | None = None,
) -> ecs.ContainerDefinition:
    """The container a task is there for; its root file system cannot be written."""
    return task.add_container(
        name,
        container_name=name,
        image=ecs.ContainerImage.from_registry(image_uri),
        command=list(command) if command else None,
        essential=True,
        readonly_root_filesystem=True,
        stop_timeout=cdk.Duration.seconds(STOP_SECONDS),
        environment=dict(environment),
        secrets=dict(secrets),
        port_mappings=[ecs.PortMapping(container_port=port)] if port else None,
        logging=ecs.LogDrivers.aws_logs(stream_prefix=name, log_group=log_group),
    )


def group_of(scope: Construct, vpc: ec2.IVpc, description: str) -> ec2.SecurityGroup:
    """A security group of tasks: HTTPS out, nothing in."""
    group = ec2.SecurityGroup(
        scope, "Group", vpc=vpc, description=description, allow_all_outbound=False
    )
    for anywhere in (ec2.Peer.any_ipv4(), ec2.Peer.any_ipv6()):
        group.add_egress_rule(anywhere, ec2.Port.tcp(443), "AWS and model providers")
    return group


def let_in(
    scope: Construct, id: str, *, source: str, target: str, port: int
) -> ec2.CfnSecurityGroupIngress:
    """Opens a port of one security group to another; the rule is of the stack of `scope`."""
    return ec2.CfnSecurityGroupIngress(
        scope,
        id,
        description=_words(id),
        group_id=target,
        source_security_group_id=source,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
    )


def reach_database(
    scope: Construct, group: ec2.SecurityGroup, database: PostgresDatabase | None
) -> list[IDependable]:
    """Opens the way from tasks to their database; what a service has to wait for."""
    if database is None:
        return []
    source, target = group.security_group_id, database.security_group.security_group_id
    return let_through(scope, "Database", source=source, target=target, port=DATABASE_PORT)


def let_through(
    scope: Construct, what: str, *, source: str, target: str, port: int
) -> list[IDependable]:
    """Opens a port out of one security group and into another."""
    way_out = ec2.CfnSecurityGroupEgress(
        scope,
        f"OutTo{what}",
        description=_words(f"OutTo{what}"),
        group_id=source,
        destination_security_group_id=target,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
    )
    return [way_out, let_in(scope, f"To{what}", source=source, target=target, port=port)]


def _words(name: str) -> str:
    """`OutToDatabase` gives `out to database`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def service_of(
    scope: Construct,
    name: str,
    tasks: Tasks,
    *,
    cluster: ecs.ICluster,
    task: ecs.FargateTaskDefinition,
    group: ec2.SecurityGroup,
    **replaced: Any,
) -> ecs.FargateService:
    """A service that never has fewer tasks than it wants; `replaced` says how ECS replaces them."""
    return ecs.FargateService(
        scope,
        "Service",
        **replaced,
        service_name=name,
        cluster=cluster,
        task_definition=task,
        desired_count=tasks.desired_count,
        assign_public_ip=tasks.assign_public_ip,
        vpc_subnets=tasks.vpc_subnets,
        security_groups=[group],
        capacity_provider_strategies=tasks.spot.strategies() if tasks.spot else None,
        min_healthy_percent=100,
        max_healthy_percent=200,
        enable_ecs_managed_tags=True,
        propagate_tags=ecs.PropagatedTagSource.SERVICE,
    )


def rolling_service(scope: Construct, name: str, tasks: Tasks, **made: Any) -> ecs.FargateService:
    """A service that ECS replaces task by task, and takes back if the new ones do not stay up.

    :param made: the cluster, task and group of `service_of`, and what else ECS is told.
    """
    breaker = ecs.DeploymentCircuitBreaker(rollback=True)
    return service_of(scope, name, tasks, circuit_breaker=breaker, **made)
