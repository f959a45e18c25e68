"""What several tests of the constructs stand on: parts of the kit, made plainly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
import brought_along
from aws_cdk import aws_ec2 as ec2

from llmops_constructs import Canary, FargateLlmService, LlmRouting, Network

CODE = "def handler(event, context): ..."


@dataclass(frozen=True)
class Measured:
    """A database as alarms and dashboards see it: a cluster of Aurora."""

    metric_dimensions: dict[str, str]


def measured() -> Any:
    """It stands for a whole database."""
    return Measured({"DBClusterIdentifier": "handbook"})


def routing(stack: cdk.Stack, network: Network) -> LlmRouting:
    """A load balancer inside a network."""
    return LlmRouting(
        stack,
        "Routing",
        vpc=network.vpc,
        vpc_subnets=network.service_subnets,
        container_port=8080,
        test_listener_port=8081,
    )


def one_subnet(stack: cdk.Stack) -> ec2.IVpc:
    """A network that somebody else made, with one private subnet."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0123456789abcdef0",
        availability_zones=["us-east-1a"],
        private_subnet_ids=["subnet-0123456789abcdef0"],
    )


def service(stack: cdk.Stack, **changes: Any) -> FargateLlmService:
    """A service on Fargate among what others made."""
    arguments: dict[str, Any] = {
        "prefix": "handbook-test",
        "service_name": "handbook",
        "vpc": changes.get("vpc") or brought_along.vpc(stack),
        "vpc_subnets": brought_along.private(),
        "image_uri": brought_along.IMAGE,
        "routing": brought_along.routing(stack),
        "canary": Canary(percent=10, bake_minutes=1, final_bake_minutes=5),
        "alarms": [brought_along.alarm(stack)],
    }
    return FargateLlmService(stack, "Service", **(arguments | changes))
