"""What the load balancer of a service and that of a page have in common.

Access logs: the CDK's `log_access_logs` would write three statements into the policy of the bucket,
which is another stack's, and none of them is needed where the policy of `AccessLogs` lets every
load balancer of the account in. So the attributes are set here and the bucket is left alone.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._findings import acknowledge_rule
from llmops_constructs.access_logs import BALANCER_PREFIX
from llmops_constructs.domain import Domain
from llmops_constructs.waf import WebAcl


def balancer_of(
    scope: Construct,
    vpc: ec2.IVpc,
    vpc_subnets: ec2.SubnetSelection,
    group: ec2.SecurityGroup,
    *,
    internet_facing: bool,
    idle_seconds: int,
    deletion_protection: bool,
) -> elbv2.ApplicationLoadBalancer:
    """A load balancer that passes no malformed header on."""
    return elbv2.ApplicationLoadBalancer(
        scope,
        "LoadBalancer",
        vpc=vpc,
        vpc_subnets=vpc_subnets,
        internet_facing=internet_facing,
        security_group=group,
        drop_invalid_header_fields=True,
        idle_timeout=cdk.Duration.seconds(idle_seconds),
        deletion_protection=deletion_protection,
    )


def listener_of(
    scope: Construct,
    id: str,
    balancer: elbv2.ApplicationLoadBalancer,
    port: int,
    action: elbv2.ListenerAction,
    *,
    certificate: elbv2.IListenerCertificate | None = None,
) -> elbv2.ApplicationListener:
    """A listener that speaks TLS with a certificate, else HTTP; it opens no security group."""
    tls = certificate is not None
    return elbv2.ApplicationListener(
        scope,
        id,
        load_balancer=balancer,
        port=port,
        protocol=elbv2.ApplicationProtocol.HTTPS if tls else elbv2.ApplicationProtocol.HTTP,
        certificates=[certificate] if certificate else None,
        ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS if tls else None,
        open=False,
        default_action=action,
    )


def redirect_to_tls(
    scope: Construct, id: str, balancer: elbv2.ApplicationLoadBalancer, port: int, *, to: int
) -> None:
    """A listener that sends whoever comes by HTTP to a port that speaks TLS, for good."""
    action = elbv2.ListenerAction.redirect(protocol="HTTPS", port=str(to), permanent=True)
    acknowledge_rule(
        listener_of(scope, id, balancer, port, action),
        "ELBv2ACMCertificateRequired",
        "It speaks HTTP, which has no use for a certificate, and only sends clients to TLS.",
    )


def log_requests(balancer: elbv2.ApplicationLoadBalancer, bucket: s3.IBucket) -> None:
    """One line per request into a bucket, once its policy lets load balancers in."""
    for name, value in (
        ("enabled", "true"),
        ("bucket", bucket.bucket_name),
        ("prefix", BALANCER_PREFIX),
    ):
        balancer.set_attribute(f"access_logs.s3.{name}", value)
    if bucket.policy:
        balancer.node.add_dependency(bucket.policy)


def place_at_the_edge(
    scope: Construct,
    balancer: elbv2.ApplicationLoadBalancer,
    domain: Domain | None,
    web_acl: WebAcl | None,
) -> None:
    """Points the name at the load balancer, and puts the web ACL in front of it."""
    if domain:
        domain.add_alias(balancer)
    if web_acl:
        web_acl.attach(balancer.load_balancer_arn, scope=scope)


def healthy_at(path: str, *, seconds: int) -> elbv2.HealthCheck:
    """Asked every so many seconds: healthy after two answers 200, not so after three others."""
    return elbv2.HealthCheck(
        path=path,
        healthy_http_codes="200",
        interval=cdk.Duration.seconds(seconds),
        timeout=cdk.Duration.seconds(5),
        healthy_threshold_count=2,
        unhealthy_threshold_count=3,
    )


def certificate_of(domain: Domain) -> elbv2.IListenerCertificate:
    """The certificate that comes with a name."""
    return elbv2.ListenerCertificate.from_certificate_manager(domain.certificate)
