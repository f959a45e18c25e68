"""The network of a service.

A subnet has a way to the internet or it has none, and what a NAT gateway costs (an hourly price per
gateway and one per GB) is often more than what runs behind it. `WithoutNat` names the three ways to
do without: endpoints, which keep every packet inside AWS; a public IPv4 address per task, which
ECS gives on request (`assignPublicIp`); and IPv6, whose egress-only internet gateway costs nothing.
A Lambda function never gets a public IPv4 address in a VPC; it goes by IPv6 where its subnets are
dual-stack and `Ipv6AllowedForDualStack` is set, to services whose dual-stack endpoint it is told to
use (`AWS_USE_DUALSTACK_ENDPOINT`; Lambda developer guide, "IPv6 support").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs._findings import acknowledge, acknowledge_rule
from llmops_constructs._logs import log_group
from llmops_constructs._validation import Rule, check

ENDPOINT_IDS = {
    "ecr.api": "EcrApi",
    "ecr.dkr": "EcrDocker",
    "logs": "Logs",
    "secretsmanager": "Secrets",
    "ecs": "Ecs",
    "monitoring": "Monitoring",
}
INTERFACE_ENDPOINTS = tuple(ENDPOINT_IDS)
"""What a Fargate task calls before its first line runs (image, log, secrets), and what a gate
asks about a rollout (ECS, CloudWatch's metrics)."""

GATEWAY_ENDPOINTS = {
    "S3": ec2.GatewayVpcEndpointAwsService.S3,
    "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}
"""The two that cost nothing: releases and layers of images, and sessions."""


CIDR = "10.0.0.0/16"

ROUTE_OUT = {
    False: "This route is what makes a subnet public, as NAT gateways and internet-facing load "
    "balancers need it; nothing gets a public address there by itself.",
    True: "Tasks go out by this route instead of a NAT gateway, each with an address of its own; "
    "their security groups let in nobody but the load balancer.",
}


@dataclass(frozen=True)
class Layers:
    """Where things go in a VPC that exists; None: by the kind of its subnets."""

    service: ec2.SubnetSelection | None = None
    database: ec2.SubnetSelection | None = None
    public: ec2.SubnetSelection | None = None


class WithoutNat(Enum):
    """How the service's subnets reach the world when there is no NAT gateway."""

    ENDPOINTS = "endpoints"
    """Only AWS, by interface endpoints, each paid by the hour and zone; no other host at all."""
    PUBLIC_ADDRESSES = "public-addresses"
    """Tasks stand in the public subnets with a public IPv4 address each (`assign_public_ip`), and
    security groups alone decide who comes in; functions go by IPv6."""
    IPV6 = "ipv6"
    """Out by IPv6 only: for Lambda functions, and clients of hosts that have an IPv6 address."""


class Network(Construct):
    """A VPC with three layers of subnets per zone: `public`, `service` and `database`.

    Tasks live in `service_subnets`, functions in `function_subnets`. The database layer has no
    route out. S3 and DynamoDB are reached by gateway endpoints, which cost nothing.

    :param availability_zones: names of two or three zones; default: the first two of the stack's.
    :param nat_gateways: 0 to the number of zones. Default: one, shared by the zones; an outage of
        its zone cuts the others from the internet.
    :param without_nat: what stands in for them when `nat_gateways` is 0; default: nothing but AWS
        is reachable, by `interface_endpoints`. Of an existing VPC it says which way there is;
        default: its private subnets have a way out of their own.
    :param interface_endpoints: names as AWS writes them, e.g. `sqs` for workers, `xray` for a
        collector, `bedrock-runtime` for models of Bedrock. Default: with WithoutNat.ENDPOINTS
        what a task and its gate need (`INTERFACE_ENDPOINTS`), else none.
    :param cidr: the IPv4 addresses of the VPC, at least a /20; default: 10.0.0.0/16.
    :param existing_vpc: used instead; it is left as it is but for interface endpoints. Its owner
        answers for its routes, gateway endpoints, flow logs and default security group.
    :param existing_service_subnets, existing_database_subnets, existing_public_subnets: where
        things go in it; default: its private subnets with a way out (with `without_nat`: those it
        speaks of), its isolated and its public ones.
    :param restrict_default_security_group: default: a function of the CDK, run by CloudFormation
        once, takes the rules away from the VPC's default security group. It leaves the group's
        rule for outgoing IPv6, which only a dual-stack VPC has.
    :param encryption_key: of the flow log; default: one of CloudWatch Logs' own.
    :param flow_log_retention: how long accepted and refused connections are kept.
    :param removal_policy: of the flow log; default: kept when the stack goes.

    Example::

        network = llm.Network(stack, "Network", nat_gateways=0)
        cdk.CfnOutput(stack, "VpcId", value=network.vpc.vpc_id)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        availability_zones: Sequence[str] = (),
        nat_gateways: int | None = None,
        without_nat: WithoutNat | None = None,
        interface_endpoints: Sequence[str] | None = None,
        cidr: str | None = None,
        existing_vpc: ec2.IVpc | None = None,
        existing_service_subnets: ec2.SubnetSelection | None = None,
        existing_database_subnets: ec2.SubnetSelection | None = None,
        existing_public_subnets: ec2.SubnetSelection | None = None,
        restrict_default_security_group: bool = True,
        encryption_key: kms.IKey | None = None,
        flow_log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        zones = list(availability_zones) or cdk.Stack.of(self).availability_zones[:2]
        gateways = 1 if nat_gateways is None else nat_gateways
        self._existing = Layers(
            existing_service_subnets, existing_database_subnets, existing_public_subnets
        )
        self._ours = existing_vpc is None
        check(
            self,
            [
                *_endpoint_rules(interface_endpoints or ()),
                *(
                    _new_rules(zones, gateways, self._existing)
                    if self._ours
                    else _existing_rules(availability_zones, nat_gateways, cidr)
                ),
            ],
        )
        if self._ours:
            without_nat = None if gateways else without_nat or WithoutNat.ENDPOINTS
        self.without_nat = without_nat
        self.vpc: ec2.IVpc = existing_vpc or self._make_vpc(
            zones, gateways, cidr or CIDR, restrict_default_security_group
        )
        self.flow_log_group: logs.LogGroup | None = None
        if self._ours:
            self._log_flows(flow_log_retention, encryption_key, removal_policy)
            for name, service in GATEWAY_ENDPOINTS.items():
                self.vpc.add_gateway_endpoint(name, service=service)
        default = INTERFACE_ENDPOINTS if self.isolated else ()
        self._add_interface_endpoints(
            default if interface_endpoints is None else interface_endpoints
        )

    @property
    def isolated(self) -> bool:
        """Whether nothing but AWS can be reached from `service_subnets`."""
        return self.without_nat is WithoutNat.ENDPOINTS

    @property
    def assign_public_ip(self) -> bool:
        """Whether a task in `service_subnets` needs a public address to reach anything."""
        return self.without_nat is WithoutNat.PUBLIC_ADDRESSES

    @property
    def ipv6(self) -> bool:
        """Whether functions need IPv6, and a rule of their security group for it, to go out."""
        return self.without_nat in (WithoutNat.PUBLIC_ADDRESSES, WithoutNat.IPV6)

    @property
    def service_subnets(self) -> ec2.SubnetSelection:
        """Where tasks and an internal load balancer go."""
        if self.assign_public_ip:
            return self._existing.service or self.public_subnets
        return self.function_subnets

    @property
    def function_subnets(self) -> ec2.SubnetSelection:
        """Where Lambda functions go: never a public subnet, from which they reach nothing."""
        if self._existing.service and not self.assign_public_ip:
            return self._existing.service
        return self._layer("service", self._private)

    @property
    def database_subnets(self) -> ec2.SubnetSelection:
        """Where databases go."""
        return self._existing.database or self._layer("database", ec2.SubnetType.PRIVATE_ISOLATED)

    @property
    def public_subnets(self) -> ec2.SubnetSelection:
        """Where NAT gateways and an internet-facing load balancer go."""
        return self._existing.public or self._layer("public", ec2.SubnetType.PUBLIC)

    @property
    def nat_addresses(self) -> list[str]:
        """The public addresses its NAT gateways speak from; of an existing VPC none is known."""
        found = [subnet.node.try_find_child("EIP") for subnet in self.vpc.public_subnets]
        return [each.ref for each in found if isinstance(each, ec2.CfnEIP)]

    @property
    def _private(self) -> ec2.SubnetType:
        kinds = ec2.SubnetType
        return kinds.PRIVATE_ISOLATED if self.isolated else kinds.PRIVATE_WITH_EGRESS

    def _layer(self, name: str, kind: ec2.SubnetType) -> ec2.SubnetSelection:
        if self._ours:
            return ec2.SubnetSelection(subnet_group_name=name)
        return ec2.SubnetSelection(subnet_type=kind)

    def _make_vpc(self, zones: list[str], gateways: int, cidr: str, restrict: bool) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=zones,
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            ip_protocol=ec2.IpProtocol.DUAL_STACK if self.ipv6 else None,
            nat_gateways=gateways,
            restrict_default_security_group=restrict,
            subnet_configuration=self._layers(),
        )
        acknowledge(
            vpc,
            "CloudFormation-Validate::W3010",
            "The zones are named so that synthesis needs no credentials and gives one template.",
        )
        for subnet in vpc.public_subnets:
            assert isinstance(subnet, ec2.Subnet)
            acknowledge_rule(
                subnet, "VPCNoUnrestrictedRouteToIGW", ROUTE_OUT[self.assign_public_ip]
            )
        return vpc

    def _layers(self) -> list[ec2.SubnetConfiguration]:
        return [
            ec2.SubnetConfiguration(
                name=name,
                subnet_type=kind,
                cidr_mask=mask,
                map_public_ip_on_launch=False if name == "public" else None,
                ipv6_assign_address_on_creation=False if self.ipv6 else None,
            )
            for name, kind, mask in (
                ("public", ec2.SubnetType.PUBLIC, 24),
                ("service", self._private, 22),
                ("database", ec2.SubnetType.PRIVATE_ISOLATED, 24),
            )
        ]

    def _log_flows(
        self, retention: logs.RetentionDays, key: kms.IKey | None, removal: cdk.RemovalPolicy
    ) -> None:
        group = log_group(
            self,
            "FlowLogs",
            name=None,
            retention=retention,
            encryption_key=key,
            removal_policy=removal,
        )
        account = {"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}}
        role = iam.Role(
            self,
            "FlowLogRole",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com", conditions=account),
        )
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
        )
        self.flow_log_group = group

    def _add_interface_endpoints(self, names: Sequence[str]) -> None:
        if not names:
            return
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=self.vpc,
            description="HTTPS from the VPC to the interface endpoints",
            allow_all_outbound=False,
        )
        inside = addresses_of(self.vpc)
        group.add_ingress_rule(inside, ec2.Port.tcp(443), "HTTPS from the VPC")
        acknowledge_references(group, [inside])
        for name in dict.fromkeys(names):
            self.vpc.add_interface_endpoint(
                ENDPOINT_IDS.get(name, re.sub(r"\W", "", name.title())),
                service=ec2.InterfaceVpcEndpointAwsService(name),
                subnets=self.function_subnets,
                security_groups=[group],
                open=False,
            )


def addresses_of(vpc: ec2.IVpc) -> ec2.IPeer:
    """Every IPv4 address of a VPC, as a number where this app knows it: then a check can read it.

    Of an imported VPC it is what `vpc_cidr_block` says; the CDK refuses one that says nothing.
    """
    resource = vpc.node.default_child
    block = resource.cidr_block if isinstance(resource, ec2.CfnVPC) else None
    return ec2.Peer.ipv4(block or vpc.vpc_cidr_block)


def acknowledge_references(group: ec2.SecurityGroup, peers: Sequence[ec2.IPeer]) -> None:
    """Answers for the checks that give up where a peer's address is known at deployment only."""
    if any(cdk.Token.is_unresolved(peer.unique_id) for peer in peers):
        reason = "One port for addresses of the account's own, a reference the rule cannot read."
        acknowledge(group, "AwsSolutions-EC23", reason)
        for rule in ("EC2RestrictedSSH", "EC2RestrictedCommonPorts"):
            acknowledge_rule(group, rule, reason)


def _endpoint_rules(names: Sequence[str]) -> list[Rule]:
    return [
        (
            re.fullmatch(r"[a-z][a-z0-9.-]*", name) is None,
            f"interface endpoint '{name}' must be the name of a service, such as 'sqs'.",
        )
        for name in names
    ]


def _new_rules(zones: list[str], gateways: int, existing: Layers) -> list[Rule]:
    return [
        (not 2 <= len(zones) <= 3, f"{len(zones)} zones were given; it needs 2 or 3."),
        (len(set(zones)) < len(zones), "A zone is named twice."),
        (
            not 0 <= gateways <= len(zones),
            f"nat_gateways is {gateways}; it must be 0 to {len(zones)}, the zones.",
        ),
        (existing != Layers(), "Existing subnets are given without their existing_vpc."),
    ]


def _existing_rules(zones: Sequence[str], gateways: int | None, cidr: str | None) -> list[Rule]:
    given = {"availability_zones": zones, "nat_gateways": gateways is not None, "cidr": cidr}
    return [
        (bool(value), f"existing_vpc has its own {name}: drop one of them.")
        for name, value in given.items()
    ]
