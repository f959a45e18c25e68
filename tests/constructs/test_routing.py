from collections.abc import Callable, Mapping
from typing import Any

import pytest
from policies import findings

from llmops_constructs import ExplicitStack, InvalidConstruct, LlmRouting, Network  # before aws_cdk
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.domain import Domain
from llmops_constructs.waf import WebAcl

import aws_cdk as cdk  # isort: skip
from aws_cdk import aws_ec2 as ec2  # isort: skip
from aws_cdk import aws_elasticloadbalancingv2 as elbv2  # isort: skip
from aws_cdk import aws_kms as kms  # isort: skip
from aws_cdk import aws_route53 as route53  # isort: skip
from aws_cdk.assertions import Match, Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"


def certificate() -> elbv2.IListenerCertificate:
    return elbv2.ListenerCertificate.from_arn(CERTIFICATE)


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    """Plain HTTP inside the VPC."""
    stack = new_stack()
    network = Network(stack, "Network", nat_gateways=0)
    LlmRouting(
        stack,
        "Routing",
        vpc=network.vpc,
        vpc_subnets=network.service_subnets,
        container_port=9000,
        listener_port=80,
        test_listener_port=8081,
        clients=[ec2.Peer.ipv4("10.200.0.0/16")],
    )
    return synthesized(stack)


@pytest.fixture(scope="module")
def edges(new_stack: Stacks) -> Mapping[str, LlmRouting]:
    """An internal and a public one with all that belongs to an edge, each in a stack of its own."""
    below = new_stack("below")
    app = below.node.root
    assert isinstance(app, cdk.App)
    key = kms.Key(below, "Key", enable_key_rotation=True)
    network = Network(below, "Network", encryption_key=key)
    logs = AccessLogs(below, "AccessLogs")
    web_acl = WebAcl(below, "WebAcl", prefix="handbook-prod", encryption_key=key)
    stacks = {
        name: ExplicitStack(
            app,
            name,
            account="123456789012",
            region="us-east-1",
            availability_zones=below.availability_zones,
        )
        for name in ("internal", "public")
    }
    zone = route53.HostedZone.from_hosted_zone_attributes(
        stacks["internal"], "Zone", hosted_zone_id="Z0000000000000000000A", zone_name="example.org"
    )
    shared: Mapping[str, Any] = {
        "vpc": network.vpc,
        "container_port": 9000,
        "access_log_bucket": logs.bucket,
        "web_acl": web_acl,
    }
    return {
        "internal": LlmRouting(
            stacks["internal"],
            "Routing",
            vpc_subnets=network.service_subnets,
            domain=Domain(
                stacks["internal"], "Domain", name="handbook.example.org", hosted_zone=zone
            ),
            **shared,
        ),
        "public": LlmRouting(
            stacks["public"],
            "Routing",
            vpc_subnets=network.public_subnets,
            internet_facing=True,
            certificate=certificate(),
            test_clients=[ec2.Peer.ipv4(f"{each}/32") for each in network.nat_addresses],
            **shared,
        ),
    }


@pytest.fixture(scope="module")
def found(edges: Mapping[str, LlmRouting]) -> list[str]:
    return findings(cdk.Stack.of(edges["internal"]))


@pytest.fixture(scope="module")
def internal(edges: Mapping[str, LlmRouting], found: list[str]) -> Template:
    return Template.from_stack(cdk.Stack.of(edges["internal"]))


@pytest.fixture(scope="module")
def public(edges: Mapping[str, LlmRouting], found: list[str]) -> Template:
    return Template.from_stack(cdk.Stack.of(edges["public"]))


def ingress(template: Template) -> set[tuple[str, int]]:
    """Source and port of every rule; a source that is no literal is `reference`."""
    return {
        (rule["CidrIp"] if isinstance(rule["CidrIp"], str) else "reference", rule["FromPort"])
        for group in template.find_resources("AWS::EC2::SecurityGroup").values()
        for rule in group["Properties"].get("SecurityGroupIngress", [])
        if group["Properties"]["GroupDescription"].startswith("The load balancer")
    }


def listeners(template: Template) -> dict[int, Any]:
    found = template.find_resources(LISTENER).values()
    return {each["Properties"]["Port"]: each["Properties"] for each in found}


def test_the_minimal_edge_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot
) -> None:
    stack = new_stack()
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-10000000",
        vpc_cidr_block="10.9.0.0/16",
        availability_zones=["us-east-1a", "us-east-1b"],
        private_subnet_ids=["subnet-10000000", "subnet-20000000"],
    )
    subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
    LlmRouting(stack, "Routing", vpc=vpc, vpc_subnets=subnets, container_port=9000)
    snapshot(synthesized(stack), "routing")


def test_no_pack_finds_anything_where_everything_is_given(found: list[str]) -> None:
    assert found == []


def test_both_rules_name_both_groups_and_only_blue_serves_at_first(template: Template) -> None:
    weights = [
        [
            group["Weight"]
            for group in rule["Properties"]["Actions"][0]["ForwardConfig"]["TargetGroups"]
        ]
        for rule in template.find_resources(RULE).values()
    ]
    assert weights == [[100, 0], [100, 0]]


def test_what_is_added_to_the_edge_touches_no_rule(template: Template, internal: Template) -> None:
    assert internal.find_resources(RULE) == template.find_resources(RULE)
    assert set(template.find_resources(LISTENER)) < set(internal.find_resources(LISTENER))


def test_both_groups_take_addresses_and_ask_readyz(template: Template) -> None:
    template.resource_properties_count_is(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            "TargetType": "ip",
            "Port": 9000,
            "HealthCheckPath": "/readyz",
            "TargetGroupAttributes": Match.array_with(
                [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]
            ),
        },
        2,
    )


def test_only_the_vpc_and_the_clients_named_reach_it_unless_asked_otherwise(
    template: Template,
) -> None:
    template.has_resource_properties(BALANCER, {"Scheme": "internal"})
    assert ingress(template) == {("10.0.0.0/16", 80), ("10.200.0.0/16", 80), ("10.0.0.0/16", 8081)}


def test_without_tls_there_is_nothing_to_redirect(template: Template) -> None:
    assert set(listeners(template)) == {80, 8081}


def test_facing_the_internet_it_speaks_tls_and_keeps_the_test_listener_inside(
    public: Template,
) -> None:
    for port in (443, 8080):
        assert listeners(public)[port]["Protocol"] == "HTTPS"
        assert listeners(public)[port]["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert ingress(public) == {
        ("0.0.0.0/0", 443),
        ("0.0.0.0/0", 80),
        ("10.0.0.0/16", 8080),
        ("reference", 8080),
    }


def test_with_tls_plain_http_only_sends_clients_on(internal: Template) -> None:
    actions = listeners(internal)[80]["DefaultActions"]
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    assert actions == [{"Type": "redirect", "RedirectConfig": redirect}]


def test_a_domain_gives_both_listeners_its_certificate_and_both_urls_its_name(
    edges: Mapping[str, LlmRouting], internal: Template
) -> None:
    (certificate_id,) = internal.find_resources("AWS::CertificateManager::Certificate")
    for port in (443, 8080):
        certificates = listeners(internal)[port]["Certificates"]
        assert certificates == [{"CertificateArn": {"Ref": certificate_id}}]
    assert edges["internal"].service_url == "https://handbook.example.org:443"
    assert edges["internal"].test_url == "https://handbook.example.org:8080"
    for kind in ("A", "AAAA"):
        internal.has_resource_properties(
            "AWS::Route53::RecordSet", {"Type": kind, "Name": "handbook.example.org."}
        )


def test_access_is_logged_to_a_bucket_of_another_stack_whose_policy_is_not_edited(
    edges: Mapping[str, LlmRouting], internal: Template
) -> None:
    internal.has_resource_properties(
        BALANCER,
        {
            "LoadBalancerAttributes": Match.array_with(
                [
                    {"Key": "access_logs.s3.enabled", "Value": "true"},
                    {
                        "Key": "access_logs.s3.bucket",
                        "Value": {"Fn::ImportValue": Match.string_like_regexp("^below:.*Bucket")},
                    },
                    {"Key": "access_logs.s3.prefix", "Value": "balancer"},
                ]
            )
        },
    )
    app = edges["internal"].node.root
    below = app.node.find_child("below")
    assert isinstance(below, cdk.Stack)
    (policy,) = Template.from_stack(below).find_resources("AWS::S3::BucketPolicy").values()
    allowed = [
        statement["Principal"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"} in allowed
    assert {"Service": "delivery.logs.amazonaws.com"} not in allowed


def test_the_web_acl_of_another_stack_is_attached_in_its_own(public: Template) -> None:
    (balancer,) = public.find_resources(BALANCER)
    public.has_resource_properties(
        "AWS::WAFv2::WebACLAssociation",
        {
            "ResourceArn": {"Ref": balancer},
            "WebACLArn": {"Fn::ImportValue": Match.string_like_regexp("^below:.*WebAcl")},
        },
    )


def test_the_internet_without_tls_is_refused_with_every_other_mistake(new_stack: Stacks) -> None:
    stack = new_stack()
    network = Network(stack, "Network")
    with pytest.raises(InvalidConstruct) as caught:
        LlmRouting(
            stack,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.public_subnets,
            container_port=9000,
            listener_port=8080,
            health_check_path="readyz",
            deregistration_seconds=3601,
            idle_seconds=4001,
            internet_facing=True,
        )
    assert len(caught.value.mistakes) == 5
    assert "internet_facing needs a certificate" in str(caught.value)


def test_a_domain_and_a_certificate_beside_it_are_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    network = Network(stack, "Network")
    zone = route53.PublicHostedZone(stack, "Zone", zone_name="example.org")
    with pytest.raises(InvalidConstruct, match="domain brings its certificate"):
        LlmRouting(
            stack,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            container_port=9000,
            domain=Domain(stack, "Domain", name="handbook.example.org", hosted_zone=zone),
            certificate=certificate(),
        )
