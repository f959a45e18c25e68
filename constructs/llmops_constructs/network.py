"""The network of a service."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs._findings import acknowledge
from llmops_constructs._validation import check

INTERFACE_ENDPOINTS = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Ecs": ec2.InterfaceVpcEndpointAwsService.ECS,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
}
"""What a Fargate task calls before its first line runs (image, log, secrets), and what a gate
asks about a rollout (ECS, CloudWatch's metrics)."""


class Network(Construct):
    """A VPC with three layers of subnets per zone: `public`, `service` and `database`.

    Tasks live in `service` and never have a public address. The database layer has no route out.
    S3 is reached by a gateway endpoint, which costs nothing.

    :param availability_zones: names of the zones; default: the first two of the stack's.
    :param nat_gateways: 0 isolates the service's subnets: nothing but AWS's registry, logs,
        secrets, ECS and metrics (interface endpoints) and S3 is reachable from them. Default: one
        gateway, shared by the zones; an outage of its zone cuts the others from the internet.
    :param cidr: the addresses of the VPC, at least a /20.
    :param flow_log_retention: how long accepted and refused connections are kept.
    :param removal_policy: of the flow log; default: kept when the stack goes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        availability_zones: Sequence[str] = (),
        nat_gateways: int = 1,
        cidr: str = "10.0.0.0/16",
        flow_log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        zones = list(availability_zones) or cdk.Stack.of(self).availability_zones[:2]
        check(
            self,
            [
                (not 2 <= len(zones) <= 3, f"{len(zones)} zones were given; it needs 2 or 3."),
                (len(set(zones)) < len(zones), "A zone is named twice."),
                (
                    not 0 <= nat_gateways <= len(zones),
                    f"nat_gateways is {nat_gateways}; it must be 0 to {len(zones)}, the zones.",
                ),
            ],
        )
        self.isolated = nat_gateways == 0
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=zones,
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            nat_gateways=nat_gateways,
            restrict_default_security_group=False,
            subnet_configuration=self._layers(),
        )
        acknowledge(
            self.vpc,
            "CloudFormation-Validate::W3010",
            "The zones are named so that synthesis needs no credentials and gives one template.",
        )
        self._log_flows(flow_log_retention, removal_policy)
        self._add_endpoints()

    @property
    def service_subnets(self) -> ec2.SubnetSelection:
        """Where tasks and an internal load balancer go."""
        return ec2.SubnetSelection(subnet_group_name="service")

    @property
    def database_subnets(self) -> ec2.SubnetSelection:
        """Where databases go."""
        return ec2.SubnetSelection(subnet_group_name="database")

    @property
    def public_subnets(self) -> ec2.SubnetSelection:
        """Where NAT gateways and an internet-facing load balancer go."""
        return ec2.SubnetSelection(subnet_group_name="public")

    def _layers(self) -> list[ec2.SubnetConfiguration]:
        service = (
            ec2.SubnetType.PRIVATE_ISOLATED if self.isolated else ec2.SubnetType.PRIVATE_WITH_EGRESS
        )
        return [
            ec2.SubnetConfiguration(
                name="public",
                subnet_type=ec2.SubnetType.PUBLIC,
                cidr_mask=24,
                map_public_ip_on_launch=False,
            ),
            ec2.SubnetConfiguration(name="service", subnet_type=service, cidr_mask=22),
            ec2.SubnetConfiguration(
                name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
            ),
        ]

    def _log_flows(self, retention: logs.RetentionDays, removal: cdk.RemovalPolicy) -> None:
        self.flow_log_group = logs.LogGroup(
            self, "FlowLogs", retention=retention, removal_policy=removal
        )
        self.vpc.add_flow_log(
            "FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(self.flow_log_group)
        )

    def _add_endpoints(self) -> None:
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        if not self.isolated:
            return
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=self.vpc,
            description="HTTPS from the VPC to the interface endpoints",
            allow_all_outbound=False,
        )
        group.add_ingress_rule(
            ec2.Peer.ipv4(self.vpc.vpc_cidr_block), ec2.Port.tcp(443), "HTTPS from the VPC"
        )
        acknowledge(
            group,
            "AwsSolutions-EC23",
            "Open to the VPC's own addresses only, a reference the rule cannot read.",
        )
        for name, service in INTERFACE_ENDPOINTS.items():
            self.vpc.add_interface_endpoint(
                name,
                service=service,
                subnets=self.service_subnets,
                security_groups=[group],
                open=False,
            )
