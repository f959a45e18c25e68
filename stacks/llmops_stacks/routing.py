"""The routing stack: listeners and rules, whose weights ECS owns after the first deployment."""

from __future__ import annotations

from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_route53 as route53
from constructs import Construct

from llmops_constructs import Domain, LlmRouting, Network, WebAcl
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.common import Common


class RoutingStack(EnvironmentStack):
    """The load balancer. A stack of its own, so that a change of the service never touches it."""

    def __init__(
        self, scope: Construct, environment: Environment, network: Network, common: Common
    ) -> None:
        super().__init__(scope, "routing", environment)
        edge = environment.edge
        self.web_acl: WebAcl | None = None
        if edge.waf:
            self.web_acl = WebAcl(
                self,
                "WebAcl",
                prefix=environment.prefix,
                rate_limit=edge.requests_per_address,
                encryption_key=common.key,
                removal_policy=self.removal_policy,
            )
        domain = None
        if edge.domain:
            domain = domain_of(self, "Domain", environment, edge.domain, edge.certificate_arn)
        ports = environment.service
        self.routing = LlmRouting(
            self,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.public_subnets if edge.internet_facing else network.service_subnets,
            container_port=ports.container_port,
            listener_port=None if domain and ports.listener_port == 80 else ports.listener_port,
            test_listener_port=ports.test_listener_port,
            internet_facing=edge.internet_facing,
            test_clients=[ec2.Peer.ipv4(f"{each}/32") for each in network.nat_addresses]
            if edge.internet_facing
            else [],
            domain=domain,
            access_log_bucket=common.access_log_bucket,
            web_acl=self.web_acl,
            deletion_protection=not self.throw_away,
        )


def domain_of(
    scope: Construct, id: str, environment: Environment, name: str, certificate_arn: str | None
) -> Domain:
    """A name in the environment's zone, with a certificate of its own or the one given."""
    zone_id = environment.edge.hosted_zone_id
    zone = None
    if zone_id:
        zone = route53.HostedZone.from_hosted_zone_attributes(
            scope, f"{id}Zone", hosted_zone_id=zone_id, zone_name=name.split(".", 1)[1]
        )
    certificate = None
    if certificate_arn:
        certificate = acm.Certificate.from_certificate_arn(
            scope, f"{id}Certificate", certificate_arn
        )
    return Domain(scope, id, name=name, hosted_zone=zone, existing_certificate=certificate)
