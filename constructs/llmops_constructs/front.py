"""The load balancer in front of a page."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._balancer import (
    balancer_of,
    certificate_of,
    listener_of,
    log_requests,
    place_at_the_edge,
    redirect_to_tls,
)
from llmops_constructs._findings import acknowledge, acknowledge_rule
from llmops_constructs._validation import Rule
from llmops_constructs.domain import Domain
from llmops_constructs.login import Login
from llmops_constructs.network import addresses_of
from llmops_constructs.waf import WebAcl

IDLE_SECONDS = 120
"""Longer than an answer takes (the page waits 60 s) and than a WebSocket is silent."""


@dataclass(frozen=True, kw_only=True)
class SharedListener:
    """A listener that others use too, on HTTPS if visitors sign in: the page is asked by its name.

    A listener of `LlmRouting` is none: a rule of its own takes every request. Unless it is said
    that only a private network reaches it, it counts as facing the internet.
    """

    listener: elbv2.IApplicationListener
    host: str
    priority: int
    internet_facing: bool = True

    def add(self, scope: Construct, action: elbv2.ListenerAction) -> None:
        """Adds the page's rule, in the stack of `scope`."""
        elbv2.ApplicationListenerRule(
            scope,
            "Rule",
            listener=self.listener,
            priority=self.priority,
            conditions=[elbv2.ListenerCondition.host_headers([self.host])],
            action=action,
        )


class Front(Construct):
    """A load balancer of one page: HTTPS with a certificate, else HTTP inside a private network.

    :param certificate: HTTP is redirected to HTTPS then.
    :param domain: pointed at the load balancer.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        internet_facing: bool,
        certificate: elbv2.IListenerCertificate | None,
        domain: Domain | None,
        access_log_bucket: s3.IBucket | None,
        web_acl: WebAcl | None,
        deletion_protection: bool,
        action: elbv2.ListenerAction,
    ) -> None:
        super().__init__(scope, id)
        self._certificate, self._domain = certificate, domain
        self.security_group = self._security_group(vpc, internet_facing)
        self.load_balancer = balancer_of(
            self,
            vpc,
            vpc_subnets,
            self.security_group,
            internet_facing=internet_facing,
            idle_seconds=IDLE_SECONDS,
            deletion_protection=deletion_protection,
        )
        self._log(access_log_bucket)
        self.listener = self._listen(action)
        place_at_the_edge(self, self.load_balancer, domain, web_acl)
        if web_acl is None:
            acknowledge_rule(
                self.load_balancer,
                "ALBWAFEnabled",
                "No web ACL was asked for (web_acl): who is let in is decided by the network and "
                "the login.",
            )

    @property
    def url(self) -> str:
        """Where visitors go."""
        host = self._domain.name if self._domain else self.load_balancer.load_balancer_dns_name
        return f"{'https' if self._certificate else 'http'}://{host}"

    def _security_group(self, vpc: ec2.IVpc, internet_facing: bool) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The load balancer of the page: visitors in, the page and the login out",
            allow_all_outbound=False,
        )
        visitors = ec2.Peer.any_ipv4() if internet_facing else addresses_of(vpc)
        for port in (80, 443) if self._certificate else (80,):
            group.add_ingress_rule(visitors, ec2.Port.tcp(port), "visitors")
        if internet_facing:
            acknowledge(
                group,
                "AwsSolutions-EC23",
                "internet_facing asks for it: visitors come from anywhere, over TLS, and sign in.",
            )
        return group

    def _log(self, bucket: s3.IBucket | None) -> None:
        if bucket:
            log_requests(self.load_balancer, bucket)
            return
        reason = "No access_log_bucket was given; the page's own log has every question asked."
        acknowledge(self.load_balancer, "AwsSolutions-ELB2", reason)
        acknowledge_rule(self.load_balancer, "ELBLoggingEnabled", reason)

    def _listen(self, action: elbv2.ListenerAction) -> elbv2.ApplicationListener:
        balancer = self.load_balancer
        if self._certificate is None:
            return listener_of(self, "Http", balancer, 80, action)
        redirect_to_tls(self, "Http", balancer, 80, to=443)
        return listener_of(self, "Https", balancer, 443, action, certificate=self._certificate)


@dataclass(frozen=True)
class Asked:
    """What was asked for of the front of a page."""

    internet_facing: bool
    load_balancer_subnets: ec2.SubnetSelection | None
    certificate: elbv2.IListenerCertificate | None
    domain: Domain | None
    login: Login | None
    access_log_bucket: s3.IBucket | None
    web_acl: WebAcl | None
    shared: SharedListener | None

    @property
    def tls(self) -> elbv2.IListenerCertificate | None:
        """The certificate that was given, by itself or with the name."""
        if self.certificate or self.domain is None:
            return self.certificate
        return certificate_of(self.domain)

    @property
    def host(self) -> str:
        """The name on a shared listener."""
        return self.shared.host if self.shared else ""

    def rules(self) -> list[Rule]:
        """What contradicts itself, or would let anybody in."""
        own = {
            "internet_facing": self.internet_facing,
            "load_balancer_subnets": self.load_balancer_subnets is not None,
            "certificate": self.certificate is not None,
            "domain": self.domain is not None,
            "access_log_bucket": self.access_log_bucket is not None,
            "web_acl": self.web_acl is not None,
        }
        idle = [name for name, given in own.items() if given and self.shared]
        exposed = self.shared.internet_facing if self.shared else self.internet_facing
        return [
            (
                bool(idle),
                f"{', '.join(idle)}: of a load balancer of its own, not of a shared listener.",
            ),
            (
                exposed and self.login is None,
                "The page faces the internet without a login: give login, for it would answer "
                "anybody with the service's token.",
            ),
            (
                self.shared is None
                and self.tls is None
                and (self.internet_facing or self.login is not None),
                "internet_facing and login need HTTPS: give a certificate or a domain.",
            ),
            (
                self.certificate is not None and self.domain is not None,
                "certificate and domain are both given: the domain brings its own.",
            ),
        ]
