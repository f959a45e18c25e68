from collections.abc import Callable

import pytest
from policies import findings

from llmops_constructs import ExplicitStack, InvalidConstruct  # before aws_cdk
from llmops_constructs.domain import Domain

from aws_cdk import aws_certificatemanager as acm  # isort: skip
from aws_cdk import aws_ec2 as ec2  # isort: skip
from aws_cdk import aws_route53 as route53  # isort: skip
from aws_cdk import aws_route53_targets as targets  # isort: skip
from aws_cdk.assertions import Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"
ZONE = "Z0000000000000000000A"


def zone_of(stack: ExplicitStack, name: str = "example.org") -> route53.IHostedZone:
    return route53.HostedZone.from_hosted_zone_attributes(
        stack, f"Zone{len(stack.node.children)}", hosted_zone_id=ZONE, zone_name=name
    )


def certificate_of(stack: ExplicitStack) -> acm.ICertificate:
    return acm.Certificate.from_certificate_arn(stack, "Existing", CERTIFICATE)


@pytest.fixture(scope="module")
def stack(new_stack: Stacks) -> ExplicitStack:
    stack = new_stack()
    domain = Domain(stack, "Domain", name="handbook.example.org", hosted_zone=zone_of(stack))
    domain.add_records(
        stack,
        targets.ApiGatewayv2DomainProperties("d-1.execute-api.us-east-1.amazonaws.com", "Z1"),
    )
    return stack


@pytest.fixture(scope="module")
def found(stack: ExplicitStack) -> list[str]:
    return findings(stack)


@pytest.fixture(scope="module")
def template(stack: ExplicitStack, found: list[str]) -> Template:
    return Template.from_stack(stack)


def test_a_domain_and_its_records_are_as_reviewed(template: Template, snapshot: Snapshot) -> None:
    snapshot(template, "domain")


def test_no_pack_finds_anything(found: list[str]) -> None:
    assert found == []


def test_the_certificate_is_proved_by_a_record_in_the_zone(template: Template) -> None:
    template.has_resource_properties(
        "AWS::CertificateManager::Certificate",
        {
            "DomainName": "handbook.example.org",
            "ValidationMethod": "DNS",
            "DomainValidationOptions": [
                {"DomainName": "handbook.example.org", "HostedZoneId": ZONE}
            ],
        },
    )


def test_the_name_leads_to_the_target_by_ipv4_and_ipv6(template: Template) -> None:
    for kind in ("A", "AAAA"):
        template.has_resource_properties(
            "AWS::Route53::RecordSet",
            {
                "Type": kind,
                "Name": "handbook.example.org.",
                "HostedZoneId": ZONE,
                "AliasTarget": {
                    "DNSName": "d-1.execute-api.us-east-1.amazonaws.com",
                    "HostedZoneId": "Z1",
                },
            },
        )


def test_with_a_certificate_a_zone_is_only_for_records_and_may_be_absent_or_private(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    vpc = ec2.Vpc.from_vpc_attributes(
        stack, "Vpc", vpc_id="vpc-10000000", availability_zones=["us-east-1a"]
    )
    private = route53.PrivateHostedZone(stack, "Private", zone_name="internal.example", vpc=vpc)
    absent = Domain(
        stack,
        "Absent",
        name="handbook.example.org",
        hosted_zone=None,
        existing_certificate=certificate_of(stack),
    )
    Domain(
        stack,
        "Inside",
        name="handbook.internal.example",
        hosted_zone=private,
        existing_certificate=absent.certificate,
    )
    absent.add_records(stack, targets.ApiGatewayv2DomainProperties("d-1", "Z1"))
    template = synthesized(stack)
    template.resource_count_is("AWS::CertificateManager::Certificate", 0)
    template.resource_count_is("AWS::Route53::RecordSet", 0)
    assert absent.certificate.certificate_arn == CERTIFICATE


@pytest.mark.parametrize("name", ["Handbook.example.org", "handbook", "-a.example.org", "a..org"])
def test_a_name_that_dns_does_not_know_is_refused(new_stack: Stacks, name: str) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct, match="must be a full DNS name"):
        Domain(
            stack,
            "Domain",
            name=name,
            hosted_zone=None,
            existing_certificate=certificate_of(stack),
        )


def test_a_name_outside_its_zone_is_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct, match="not in the zone"):
        Domain(stack, "Domain", name="chat.notexample.org", hosted_zone=zone_of(stack))
    Domain(stack, "Itself", name="example.org", hosted_zone=zone_of(stack, "example.org"))


def test_a_name_that_nobody_can_prove_is_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct, match="give existing_certificate"):
        Domain(new_stack(), "Domain", name="handbook.example.org", hosted_zone=None)
