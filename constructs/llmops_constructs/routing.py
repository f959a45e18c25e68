"""The way requests take to the two revisions of a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from llmops_constructs._balancer import (
    balancer_of,
    certificate_of,
    healthy_at,
    listener_of,
    log_requests,
    place_at_the_edge,
    redirect_to_tls,
)
from llmops_constructs._findings import acknowledge
from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.domain import Domain
from llmops_constructs.network import acknowledge_references, addresses_of
from llmops_constructs.waf import WebAcl

REDIRECT_PORT = 80


@dataclass(frozen=True, kw_only=True)
class Routing:
    """What a service has to know of its load balancer: ARNs, so that it can be in any stack."""

    target_group_arn: str
    alternate_target_group_arn: str | None
    """ARN of the group that takes the new revision; None: there is none."""
    production_rule_arn: str
    test_rule_arn: str
    security_group_id: str
    ready: IDependable
    """What must exist before a service can register with the target groups."""


class LlmRouting(Construct):
    """A load balancer, a production and a test listener, and two target groups behind a rule each.

    From the first deployment on ECS owns the weights of both rules and swaps the groups' roles.
    A template change that touches a rule resets it, and the traffic goes to an empty group:
    keep this construct in a stack of its own, and leave that stack alone while a service runs.

    :param vpc_subnets: private ones; public ones if `internet_facing`.
    :param container_port: where the tasks listen.
    :param listener_port: where users come in. Default: 443 with a certificate, else 80.
    :param test_listener_port: where a new revision is reached before any user.
    :param health_check_path: a task gets traffic while this answers 200.
    :param deregistration_seconds: how long a leaving task may finish its requests (0 to 3600).
    :param internet_facing: default: only the VPC can reach the load balancer. True needs TLS:
        bearer tokens do not travel the internet in the clear.
    :param clients: who else may use the service's listener, such as an office's or a peered
        network's addresses. Default: nobody beside the VPC; anybody if `internet_facing`.
    :param test_clients: who else may use the test listener. Default: nobody beside the VPC. From
        a VPC the name of an internet-facing load balancer leads out and back in by the NAT
        gateways, whose addresses belong here then.
    :param domain: the name and certificate of the service; the name is pointed at the load
        balancer and both listeners speak TLS. Default: AWS's name of the load balancer.
    :param certificate: for TLS on both listeners without a domain. Default: plain HTTP.
    :param redirect_http: default: with TLS, and unless another listener has it, port 80 sends
        clients to `listener_port`.
    :param access_log_bucket: gets one line per request, under `balancer/`; its policy must let
        load balancers in, as that of `AccessLogs` does. Default: none, as the service writes one
        structured line per request itself.
    :param web_acl: what requests must pass first, those to the test listener too. Default: none.
    :param idle_seconds: how long an answer may take to begin or go on (1 to 4000).
    :param deletion_protection: default: the load balancer cannot be deleted.

    Example::

        network = llm.Network(stack, "Network")
        routing = llm.LlmRouting(
            stack,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            container_port=9000,
        )
        cdk.CfnOutput(stack, "Url", value=routing.service_url)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        container_port: int,
        listener_port: int | None = None,
        test_listener_port: int = 8080,
        health_check_path: str = "/readyz",
        deregistration_seconds: int = 30,
        internet_facing: bool = False,
        clients: Sequence[ec2.IPeer] = (),
        test_clients: Sequence[ec2.IPeer] = (),
        domain: Domain | None = None,
        certificate: elbv2.IListenerCertificate | None = None,
        redirect_http: bool = True,
        access_log_bucket: s3.IBucket | None = None,
        web_acl: WebAcl | None = None,
        idle_seconds: int = 120,
        deletion_protection: bool = True,
    ) -> None:
        super().__init__(scope, id)
        self.internet_facing = internet_facing
        self._domain = domain
        self._certificate = certificate or (certificate_of(domain) if domain else None)
        self.listener_port = listener_port or (443 if self._certificate else 80)
        self.test_listener_port = test_listener_port
        self._redirects = redirect_http and bool(self._certificate) and not self._taken
        check(
            self,
            [
                *self._edge_rules(internet_facing, both=bool(domain and certificate)),
                *_target_rules(deregistration_seconds, idle_seconds, health_check_path),
            ],
        )
        self.security_group = self._security_group(vpc, container_port)
        self._let_in(addresses_of(vpc), internet_facing, clients, test_clients)
        self.load_balancer = balancer_of(
            self,
            vpc,
            vpc_subnets,
            self.security_group,
            internet_facing=internet_facing,
            idle_seconds=idle_seconds,
            deletion_protection=deletion_protection,
        )
        drain = cdk.Duration.seconds(deregistration_seconds)
        self.blue = self._target_group("Blue", vpc, container_port, health_check_path, drain)
        self.green = self._target_group("Green", vpc, container_port, health_check_path, drain)
        self.production_rule = self._rule("Production", self.listener_port)
        self.test_rule = self._rule("Test", test_listener_port)
        if self._redirects:
            balancer, port = self.load_balancer, self.listener_port
            redirect_to_tls(self, "RedirectListener", balancer, REDIRECT_PORT, to=port)
        self._log_access(access_log_bucket)
        place_at_the_edge(self, self.load_balancer, domain, web_acl)

    @property
    def _taken(self) -> bool:
        return REDIRECT_PORT in (self.listener_port, self.test_listener_port)

    def _edge_rules(self, internet_facing: bool, *, both: bool) -> list[Rule]:
        return [
            (
                internet_facing and self._certificate is None,
                "internet_facing needs a certificate: without TLS bearer tokens can be read.",
            ),
            (
                self.listener_port == self.test_listener_port,
                f"listener_port and test_listener_port are both {self.listener_port}.",
            ),
            (both, "domain brings its certificate: drop certificate, or give it to the domain."),
        ]

    @property
    def routing(self) -> Routing:
        """What a service is told."""
        return Routing(
            target_group_arn=self.blue.target_group_arn,
            alternate_target_group_arn=self.green.target_group_arn,
            production_rule_arn=self.production_rule.listener_rule_arn,
            test_rule_arn=self.test_rule.listener_rule_arn,
            security_group_id=self.security_group.security_group_id,
            ready=self,
        )

    @property
    def service_url(self) -> str:
        """Where users reach the service."""
        return self._url(self.listener_port)

    @property
    def test_url(self) -> str:
        """Where a revision that is not live yet is reached."""
        return self._url(self.test_listener_port)

    def _url(self, port: int) -> str:
        scheme = "https" if self._certificate else "http"
        host = self._domain.name if self._domain else self.load_balancer.load_balancer_dns_name
        return f"{scheme}://{host}:{port}"

    def _security_group(self, vpc: ec2.IVpc, container_port: int) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The load balancer: users and tests in, the port of the tasks out",
            allow_all_outbound=False,
        )
        group.add_egress_rule(addresses_of(vpc), ec2.Port.tcp(container_port), "the tasks")
        return group

    def _let_in(
        self,
        inside: ec2.IPeer,
        internet_facing: bool,
        clients: Sequence[ec2.IPeer],
        test_clients: Sequence[ec2.IPeer],
    ) -> None:
        anybody = internet_facing and not clients
        users = [ec2.Peer.any_ipv4()] if anybody else [inside, *clients]
        for peer in users:
            self.security_group.add_ingress_rule(peer, ec2.Port.tcp(self.listener_port), "users")
            if self._redirects:
                self.security_group.add_ingress_rule(
                    peer, ec2.Port.tcp(REDIRECT_PORT), "users to be sent to TLS"
                )
        for peer in (inside, *test_clients):
            self.security_group.add_ingress_rule(
                peer, ec2.Port.tcp(self.test_listener_port), "tests of a revision"
            )
        acknowledge_references(self.security_group, [inside, *clients, *test_clients])
        if anybody:
            acknowledge(
                self.security_group,
                "AwsSolutions-EC23",
                "internet_facing asks for it: users come from anywhere, over TLS.",
            )

    def _log_access(self, bucket: s3.IBucket | None) -> None:
        if bucket:
            log_requests(self.load_balancer, bucket)
            return
        acknowledge(
            self.load_balancer,
            "AwsSolutions-ELB2",
            "The service writes one structured line per request with its id, status and "
            "duration; access logs of the load balancer would only repeat it.",
        )

    def _target_group(
        self, id: str, vpc: ec2.IVpc, port: int, path: str, drain: cdk.Duration
    ) -> elbv2.ApplicationTargetGroup:
        return elbv2.ApplicationTargetGroup(
            self,
            id,
            vpc=vpc,
            port=port,
            protocol=elbv2.ApplicationProtocol.HTTP,
            target_type=elbv2.TargetType.IP,
            deregistration_delay=drain,
            health_check=healthy_at(path, seconds=10),
        )

    def _rule(self, id: str, port: int) -> elbv2.ApplicationListenerRule:
        """A listener whose every request goes by one rule; it starts with blue at 100 %."""
        nowhere = elbv2.ListenerAction.fixed_response(
            503, content_type="text/plain", message_body="no rule matched"
        )
        listener = listener_of(
            self,
            f"{id}Listener",
            self.load_balancer,
            port,
            nowhere,
            certificate=self._certificate,
        )
        return elbv2.ApplicationListenerRule(
            self,
            f"{id}Rule",
            listener=listener,
            priority=1,
            conditions=[elbv2.ListenerCondition.path_patterns(["/*"])],
            action=elbv2.ListenerAction.weighted_forward(
                [
                    elbv2.WeightedTargetGroup(target_group=self.blue, weight=100),
                    elbv2.WeightedTargetGroup(target_group=self.green, weight=0),
                ]
            ),
        )


def _target_rules(drain: int, idle: int, path: str) -> list[Rule]:
    return [
        (outside(drain, 0, 3600), f"deregistration_seconds is {drain}; ELB allows 0 to 3600."),
        (outside(idle, 1, 4000), f"idle_seconds is {idle}; ELB allows 1 to 4000."),
        (not path.startswith("/"), f"health_check_path '{path}' must begin with '/'."),
    ]
