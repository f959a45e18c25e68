from collections.abc import Callable

import pytest
from aws_cdk.assertions import Match, Template

from llmops_constructs import ExplicitStack, InvalidConstruct, Network

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]


@pytest.fixture(scope="module")
def isolated(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    Network(stack, "Network", nat_gateways=0)
    return synthesized(stack)


@pytest.fixture(scope="module")
def connected(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    Network(stack, "Network", nat_gateways=2)
    return synthesized(stack)


def test_it_spans_two_named_zones_in_three_layers(isolated: Template) -> None:
    isolated.resource_count_is("AWS::EC2::Subnet", 6)
    subnets = isolated.find_resources("AWS::EC2::Subnet").values()
    zones = {subnet["Properties"]["AvailabilityZone"] for subnet in subnets}
    assert zones == {"us-east-1a", "us-east-1b"}


def test_no_subnet_gives_public_addresses(connected: Template) -> None:
    subnets = connected.find_resources("AWS::EC2::Subnet").values()
    assert {subnet["Properties"].get("MapPublicIpOnLaunch", False) for subnet in subnets} == {False}


def test_without_nat_gateways_a_task_and_a_gate_reach_what_they_need_of_aws(
    isolated: Template,
) -> None:
    isolated.resource_count_is("AWS::EC2::NatGateway", 0)
    endpoints = isolated.find_resources("AWS::EC2::VPCEndpoint").values()
    kinds = sorted(endpoint["Properties"]["VpcEndpointType"] for endpoint in endpoints)
    assert kinds == ["Gateway", *["Interface"] * 6]
    for service in ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "ecs", "monitoring"):
        isolated.has_resource_properties(
            "AWS::EC2::VPCEndpoint",
            {
                "ServiceName": f"com.amazonaws.us-east-1.{service}",
                "PrivateDnsEnabled": True,
            },
        )


def test_with_nat_gateways_there_are_as_many_and_no_paid_endpoints(connected: Template) -> None:
    connected.resource_count_is("AWS::EC2::NatGateway", 2)
    connected.resource_count_is("AWS::EC2::VPCEndpoint", 1)


def test_all_traffic_is_logged_for_a_month(isolated: Template) -> None:
    isolated.has_resource_properties("AWS::EC2::FlowLog", {"TrafficType": "ALL"})
    isolated.has_resource(
        "AWS::Logs::LogGroup",
        {"Properties": Match.object_like({"RetentionInDays": 30}), "DeletionPolicy": "Retain"},
    )


def test_mistakes_are_reported_together_with_the_path(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        Network(new_stack(), "Network", availability_zones=["us-east-1a"], nat_gateways=4)
    assert len(caught.value.mistakes) == 2
    assert str(caught.value).startswith("test/Network: 1 zones were given")
