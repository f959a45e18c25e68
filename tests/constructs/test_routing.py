from collections.abc import Callable

import pytest
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk.assertions import Match, Template

from llmops_constructs import ExplicitStack, InvalidConstruct, LlmRouting, Network

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
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
    )
    return synthesized(stack)


@pytest.fixture(scope="module")
def public(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    network = Network(stack, "Network")
    LlmRouting(
        stack,
        "Routing",
        vpc=network.vpc,
        vpc_subnets=network.public_subnets,
        container_port=9000,
        internet_facing=True,
        certificate=elbv2.ListenerCertificate.from_arn(CERTIFICATE),
    )
    return synthesized(stack)


def test_both_rules_name_both_groups_and_only_blue_serves_at_first(template: Template) -> None:
    rules = template.find_resources("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    weights = [
        [
            group["Weight"]
            for group in rule["Properties"]["Actions"][0]["ForwardConfig"]["TargetGroups"]
        ]
        for rule in rules
    ]
    assert weights == [[100, 0], [100, 0]]


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


def test_it_is_reachable_from_the_vpc_only_unless_asked_otherwise(template: Template) -> None:
    template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::LoadBalancer", {"Scheme": "internal"}
    )
    groups = template.find_resources("AWS::EC2::SecurityGroup").values()
    sources = [
        rule["CidrIp"]
        for group in groups
        for rule in group["Properties"].get("SecurityGroupIngress", [])
    ]
    assert sources
    assert "0.0.0.0/0" not in sources


def test_facing_the_internet_it_speaks_tls_and_keeps_the_test_listener_inside(
    public: Template,
) -> None:
    public.resource_properties_count_is(
        "AWS::ElasticLoadBalancingV2::Listener",
        {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": CERTIFICATE}]},
        2,
    )
    public.has_resource_properties(
        "AWS::EC2::SecurityGroup",
        {
            "SecurityGroupIngress": [
                Match.object_like({"CidrIp": "0.0.0.0/0", "FromPort": 443}),
                Match.object_like({"CidrIp": Match.object_like({}), "FromPort": 8080}),
            ]
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
            internet_facing=True,
        )
    assert len(caught.value.mistakes) == 4
    assert "internet_facing needs a certificate" in str(caught.value)
