"""A name for a service, and the certificate that proves it."""

from __future__ import annotations

import re

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from llmops_constructs._validation import Rule, check

NAME = r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
"""Labels of at most 63 letters, digits and hyphens (RFC 1035, 2.3.4); 253 characters in all."""


class Domain(Construct):
    """A DNS name in a Route 53 zone, with a certificate of ACM for it.

    ACM proves the name by a record in the zone, and renews the certificate as long as it is there;
    that takes a public zone. For a private one bring the certificate.

    :param name: the full name, in lower case, e.g. `handbook.example.org`.
    :param hosted_zone: where the records go; by id and name
        (`HostedZone.from_hosted_zone_attributes`), as a lookup would ask AWS. None: the name is
        pointed at the service by other means, and `existing_certificate` is needed.
    :param existing_certificate: used instead of a new one; it must be in the region of the
        service and cover the name. Default: a new one.

    Example::

        from aws_cdk import aws_route53 as route53

        zone = route53.HostedZone.from_hosted_zone_attributes(
            stack, "Zone", hosted_zone_id="Z0000000000000000000A", zone_name="example.org"
        )
        domain = llm.Domain(stack, "Domain", name="handbook.example.org", hosted_zone=zone)
        cdk.CfnOutput(stack, "CertificateArn", value=domain.certificate.certificate_arn)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        hosted_zone: route53.IHostedZone | None,
        existing_certificate: acm.ICertificate | None = None,
    ) -> None:
        super().__init__(scope, id)
        check(self, _rules(name, hosted_zone, existing_certificate))
        self.name = name
        self.hosted_zone = hosted_zone
        self.certificate: acm.ICertificate = existing_certificate or acm.Certificate(
            self,
            "Certificate",
            domain_name=name,
            validation=acm.CertificateValidation.from_dns(hosted_zone),
        )

    def add_alias(self, load_balancer: elbv2.ApplicationLoadBalancer) -> None:
        """Points the name at a load balancer, in the stack that it is in; no zone, no record."""
        scope = load_balancer.node.scope
        assert isinstance(scope, Construct)
        self.add_records(scope, targets.LoadBalancerTarget(load_balancer))

    def add_records(self, scope: Construct, target: route53.IAliasRecordTarget) -> None:
        """The name's A and AAAA records in the zone: one alias for IPv4, one for IPv6.

        An alias answers with the addresses its target has, so that a target without IPv6
        addresses gives an empty answer and no error.

        :param scope: a construct of the target's stack.
        """
        if self.hosted_zone is None:
            return
        alias = route53.RecordTarget.from_alias(target)
        for record in (route53.ARecord, route53.AaaaRecord):
            record(
                scope,
                record.__name__,
                zone=self.hosted_zone,
                record_name=f"{self.name}.",
                target=alias,
            )


def _inside(name: str, zone: route53.IHostedZone) -> bool:
    """Whether the name ends with the zone's, if synthesis knows that one."""
    return cdk.Token.is_unresolved(zone.zone_name) or f".{name}".endswith(f".{zone.zone_name}")


def _rules(
    name: str, zone: route53.IHostedZone | None, certificate: acm.ICertificate | None
) -> list[Rule]:
    return [
        (
            re.fullmatch(NAME, name) is None or len(name) > 253,
            f"name '{name}' must be a full DNS name in lower case, such as chat.example.org.",
        ),
        (
            zone is not None and not _inside(name, zone),
            f"name '{name}' is not in the zone it is given.",
        ),
        (
            zone is None and certificate is None,
            "Without a hosted_zone nobody can prove the name to ACM: give existing_certificate.",
        ),
        (
            isinstance(zone, route53.PrivateHostedZone) and certificate is None,
            "ACM cannot see a private zone: give existing_certificate.",
        ),
    ]
