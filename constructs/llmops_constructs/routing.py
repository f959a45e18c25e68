"""The way requests take to the two revisions of a service."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct, IDependable

from llmops_constructs._findings import acknowledge
from llmops_constructs._validation import check, outside


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
    :param test_listener_port: where a new revision is reached before any user; only from the
        VPC, whatever `internet_facing` says.
    :param health_check_path: a task gets traffic while this answers 200.
    :param deregistration_seconds: how long a leaving task may finish its requests (0 to 3600).
    :param internet_facing: default: only the VPC can reach the load balancer. True needs a
        certificate: bearer tokens do not travel the internet in the clear.
    :param certificate: default: plain HTTP inside the VPC.
    :param idle_seconds: how long an answer may take to begin or go on (1 to 4000).
    :param deletion_protection: default: the load balancer cannot be deleted.
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
        certificate: elbv2.IListenerCertificate | None = None,
        idle_seconds: int = 120,
        deletion_protection: bool = True,
    ) -> None:
        super().__init__(scope, id)
        self.listener_port = listener_port or (443 if certificate else 80)
        self.test_listener_port = test_listener_port
        self._certificate = certificate
        self._check(internet_facing, deregistration_seconds, health_check_path)
        self.security_group = self._security_group(vpc, container_port, internet_facing)
        self.load_balancer = elbv2.ApplicationLoadBalancer(
            self,
            "LoadBalancer",
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            internet_facing=internet_facing,
            security_group=self.security_group,
            drop_invalid_header_fields=True,
            idle_timeout=cdk.Duration.seconds(idle_seconds),
            deletion_protection=deletion_protection,
        )
        acknowledge(
            self.load_balancer,
            "AwsSolutions-ELB2",
            "The service writes one structured line per request with its id, status and "
            "duration; access logs of the load balancer would only repeat it.",
        )
        drain = cdk.Duration.seconds(deregistration_seconds)
        self.blue = self._target_group("Blue", vpc, container_port, health_check_path, drain)
        self.green = self._target_group("Green", vpc, container_port, health_check_path, drain)
        self.production_rule = self._rule("Production", self.listener_port)
        self.test_rule = self._rule("Test", test_listener_port)

    def _check(self, internet_facing: bool, drain: int, path: str) -> None:
        check(
            self,
            [
                (
                    internet_facing and self._certificate is None,
                    "internet_facing needs a certificate: without TLS bearer tokens can be read.",
                ),
                (
                    self.listener_port == self.test_listener_port,
                    f"listener_port and test_listener_port are both {self.listener_port}.",
                ),
                (
                    outside(drain, 0, 3600),
                    f"deregistration_seconds is {drain}; ELB allows 0 to 3600.",
                ),
                (not path.startswith("/"), f"health_check_path '{path}' must begin with '/'."),
            ],
        )

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
        return f"{scheme}://{self.load_balancer.load_balancer_dns_name}:{port}"

    def _security_group(
        self, vpc: ec2.IVpc, container_port: int, internet_facing: bool
    ) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The load balancer: users and tests in, the port of the tasks out",
            allow_all_outbound=False,
        )
        inside = ec2.Peer.ipv4(vpc.vpc_cidr_block)
        users = ec2.Peer.any_ipv4() if internet_facing else inside
        group.add_ingress_rule(users, ec2.Port.tcp(self.listener_port), "users")
        group.add_ingress_rule(inside, ec2.Port.tcp(self.test_listener_port), "tests of a revision")
        group.add_egress_rule(inside, ec2.Port.tcp(container_port), "the tasks")
        acknowledge(
            group,
            "AwsSolutions-EC23",
            "internet_facing asks for it: users come from anywhere, over TLS."
            if internet_facing
            else "Open to the VPC's own addresses only, a reference the rule cannot read.",
        )
        return group

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
            health_check=elbv2.HealthCheck(
                path=path,
                healthy_http_codes="200",
                interval=cdk.Duration.seconds(10),
                timeout=cdk.Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )

    def _rule(self, id: str, port: int) -> elbv2.ApplicationListenerRule:
        """A listener whose every request goes by one rule; it starts with blue at 100 %."""
        tls = self._certificate is not None
        listener = elbv2.ApplicationListener(
            self,
            f"{id}Listener",
            load_balancer=self.load_balancer,
            port=port,
            protocol=elbv2.ApplicationProtocol.HTTPS if tls else elbv2.ApplicationProtocol.HTTP,
            certificates=[self._certificate] if self._certificate else None,
            ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS if tls else None,
            open=False,
            default_action=elbv2.ListenerAction.fixed_response(
                503, content_type="text/plain", message_body="no rule matched"
            ),
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
