import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from policies import findings
from templates import Alone

from llmops_constructs import ExplicitStack, InvalidConstruct, Network  # before aws_cdk
from llmops_constructs.network import WithoutNat

import aws_cdk as cdk  # isort: skip
from aws_cdk import aws_ec2 as ec2  # isort: skip
from aws_cdk import aws_kms as kms  # isort: skip
from aws_cdk.assertions import Match, Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]
Templates = Mapping[str, Template]
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "isolated": {"nat_gateways": 0},
    "connected": {
        "nat_gateways": 2,
        "availability_zones": ("us-east-1a", "us-east-1b", "us-east-1c"),
        "interface_endpoints": ("bedrock-runtime",),
    },
    "addressed": {"nat_gateways": 0, "without_nat": WithoutNat.PUBLIC_ADDRESSES},
    "ipv6": {"nat_gateways": 0, "without_nat": WithoutNat.IPV6},
}


def imported_vpc(stack: ExplicitStack) -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Imported",
        vpc_id="vpc-10000000",
        vpc_cidr_block="10.9.0.0/16",
        availability_zones=["us-east-1a", "us-east-1b"],
        private_subnet_ids=["subnet-10000000", "subnet-20000000"],
        isolated_subnet_ids=["subnet-30000000", "subnet-40000000"],
        public_subnet_ids=["subnet-50000000", "subnet-60000000"],
    )


@pytest.fixture(scope="module")
def networks(new_stack: Stacks) -> Mapping[str, Network]:
    """All in one app, so that they are synthesized and checked once."""
    first = new_stack("existing")
    app = first.node.root
    assert isinstance(app, cdk.App)
    made = {
        "existing": Network(
            first,
            "Network",
            existing_vpc=imported_vpc(first),
            existing_database_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            interface_endpoints=("sqs",),
        )
    }
    for name, props in NETWORKS.items():
        stack = ExplicitStack(
            app,
            name,
            account="123456789012",
            region="us-east-1",
            availability_zones=("us-east-1a", "us-east-1b", "us-east-1c"),
        )
        key = kms.Key(stack, "Key", enable_key_rotation=True)
        made[name] = Network(stack, "Network", encryption_key=key, **props)
    return made


@pytest.fixture(scope="module")
def found(networks: Mapping[str, Network]) -> list[str]:
    return findings(cdk.Stack.of(networks["existing"]))


@pytest.fixture(scope="module")
def templates(networks: Mapping[str, Network], found: list[str]) -> Templates:
    """Of the assembly that the checks made, as an app is synthesized once."""
    stacks = {name: cdk.Stack.of(network) for name, network in networks.items()}
    return {name: Template.from_stack(stack) for name, stack in stacks.items()}


@pytest.fixture(scope="module")
def minimal(alone: Alone) -> Template:
    return alone(lambda stack: Network(stack, "Network"))


def endpoints(template: Template, kind: str) -> set[str]:
    return {
        str(each["Properties"]["ServiceName"]).rpartition("us-east-1.")[2]
        for each in template.find_resources("AWS::EC2::VPCEndpoint").values()
        if each["Properties"]["VpcEndpointType"] == kind
    }


def chosen_of(selection: ec2.SubnetSelection, vpc: ec2.IVpc) -> list[str]:
    return vpc.select_subnets(**selection._values).subnet_ids


def subnets(template: Template, network: Network, chosen: ec2.SubnetSelection) -> list[Any]:
    """The resources of a selection's subnets."""
    stack = cdk.Stack.of(network)
    ids = chosen_of(chosen, network.vpc)
    all_of_them = template.find_resources("AWS::EC2::Subnet")
    return [all_of_them[stack.resolve(each)["Ref"]] for each in ids]


def routes(template: Template, target: str) -> int:
    found = template.find_resources("AWS::EC2::Route").values()
    return sum(target in each["Properties"] for each in found)


def test_the_minimal_network_is_as_reviewed(minimal: Template, snapshot: Snapshot) -> None:
    snapshot(minimal, "network")


def test_no_pack_finds_anything_in_any_of_them(found: list[str]) -> None:
    assert found == []


def test_it_spans_named_zones_in_three_layers(templates: Templates) -> None:
    for name, zones in (("isolated", "ab"), ("connected", "abc")):
        found = templates[name].find_resources("AWS::EC2::Subnet").values()
        assert len(found) == 3 * len(zones)
        assert {each["Properties"]["AvailabilityZone"] for each in found} == {
            f"us-east-1{zone}" for zone in zones
        }


def test_no_subnet_gives_addresses_by_itself(templates: Templates) -> None:
    for name in NETWORKS:
        for each in templates[name].find_resources("AWS::EC2::Subnet").values():
            assert not each["Properties"].get("MapPublicIpOnLaunch")
            assert not each["Properties"].get("AssignIpv6AddressOnCreation")


def test_s3_and_dynamodb_are_reached_for_nothing(templates: Templates) -> None:
    for name in NETWORKS:
        template = json.dumps(templates[name].find_resources("AWS::EC2::VPCEndpoint"))
        assert template.count('"Gateway"') == 2
        assert ".s3" in template
        assert ".dynamodb" in template


def test_without_nat_gateways_a_task_and_a_gate_reach_what_they_need_of_aws(
    networks: Mapping[str, Network], templates: Templates
) -> None:
    isolated = templates["isolated"]
    isolated.resource_count_is("AWS::EC2::NatGateway", 0)
    needed = {"ecr.api", "ecr.dkr", "logs", "secretsmanager", "ecs", "monitoring"}
    assert endpoints(isolated, "Interface") == needed
    isolated.all_resources_properties(
        "AWS::EC2::SecurityGroup",
        {"SecurityGroupIngress": [Match.object_like({"CidrIp": "10.0.0.0/16", "FromPort": 443})]},
    )
    assert networks["isolated"].isolated


def test_with_nat_gateways_only_the_endpoints_asked_for_are_paid(
    networks: Mapping[str, Network], templates: Templates, minimal: Template
) -> None:
    connected = templates["connected"]
    connected.resource_count_is("AWS::EC2::NatGateway", 2)
    assert endpoints(connected, "Interface") == {"bedrock-runtime"}
    assert endpoints(minimal, "Interface") == set()
    assert len(networks["connected"].nat_addresses) == 2
    assert networks["isolated"].nat_addresses == []


def test_with_public_addresses_tasks_go_out_by_themselves_and_functions_by_ipv6(
    networks: Mapping[str, Network], templates: Templates
) -> None:
    network, template = networks["addressed"], templates["addressed"]
    assert network.assign_public_ip
    assert network.ipv6
    assert network.service_subnets.subnet_group_name == "public"
    assert network.function_subnets.subnet_group_name == "service"
    assert routes(template, "GatewayId") == 4
    assert routes(template, "EgressOnlyInternetGatewayId") == 2
    assert endpoints(template, "Interface") == set()


def test_ipv6_leads_out_of_dual_stack_subnets_and_nobody_in(
    networks: Mapping[str, Network], templates: Templates
) -> None:
    network, template = networks["ipv6"], templates["ipv6"]
    assert network.ipv6
    assert not network.assign_public_ip
    template.resource_count_is("AWS::EC2::EgressOnlyInternetGateway", 1)
    for subnet in subnets(template, network, network.service_subnets):
        assert "Ipv6CidrBlock" in subnet["Properties"]
    template.resource_count_is("AWS::EC2::NatGateway", 0)


def test_the_database_layer_has_no_route_out(
    networks: Mapping[str, Network], templates: Templates
) -> None:
    for name in NETWORKS:
        layer = networks[name].vpc.select_subnets(subnet_group_name="database")
        tables = {
            cdk.Stack.of(networks[name]).resolve(subnet.route_table.route_table_id)["Ref"]
            for subnet in layer.subnets
        }
        found = templates[name].find_resources("AWS::EC2::Route").values()
        assert tables
        assert not tables & {each["Properties"]["RouteTableId"]["Ref"] for each in found}


def test_the_default_security_group_loses_its_rules_unless_asked_otherwise(
    minimal: Template, new_stack: Stacks, synthesized: Synthesized
) -> None:
    minimal.resource_count_is("Custom::VpcRestrictDefaultSG", 1)
    stack = new_stack()
    Network(stack, "Network", restrict_default_security_group=False)
    left_alone = synthesized(stack)
    left_alone.resource_count_is("Custom::VpcRestrictDefaultSG", 0)
    left_alone.resource_count_is("AWS::Lambda::Function", 0)


def test_all_traffic_is_logged_for_a_month_with_the_key_given(templates: Templates) -> None:
    isolated = templates["isolated"]
    isolated.has_resource_properties("AWS::EC2::FlowLog", {"TrafficType": "ALL"})
    isolated.has_resource(
        "AWS::Logs::LogGroup",
        {
            "Properties": Match.object_like(
                {"RetentionInDays": 30, "KmsKeyId": Match.object_like({})}
            ),
            "DeletionPolicy": "Retain",
        },
    )


def test_only_flow_logs_of_the_account_may_take_their_role(templates: Templates) -> None:
    statement = {
        "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
    }
    templates["isolated"].has_resource_properties(
        "AWS::IAM::Role",
        {"AssumeRolePolicyDocument": {"Statement": [Match.object_like(statement)]}},
    )


def test_an_existing_vpc_is_left_alone_but_for_the_endpoints_asked_for(
    networks: Mapping[str, Network], templates: Templates
) -> None:
    network, template = networks["existing"], templates["existing"]
    template.resource_count_is("AWS::EC2::VPC", 0)
    template.resource_count_is("AWS::EC2::FlowLog", 0)
    template.has_resource_properties(
        "AWS::EC2::VPCEndpoint",
        {"VpcId": "vpc-10000000", "SubnetIds": ["subnet-10000000", "subnet-20000000"]},
    )
    chosen = (network.service_subnets, network.database_subnets, network.public_subnets)
    assert [chosen_of(each, network.vpc) for each in chosen] == [
        ["subnet-10000000", "subnet-20000000"],
        ["subnet-50000000", "subnet-60000000"],
        ["subnet-50000000", "subnet-60000000"],
    ]


def test_of_an_existing_vpc_one_says_which_way_out_there_is(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    vpc = imported_vpc(stack)
    isolated = Network(stack, "Isolated", existing_vpc=vpc, without_nat=WithoutNat.ENDPOINTS)
    addressed = Network(
        stack, "Addressed", existing_vpc=vpc, without_nat=WithoutNat.PUBLIC_ADDRESSES
    )
    assert chosen_of(isolated.service_subnets, vpc) == ["subnet-30000000", "subnet-40000000"]
    assert chosen_of(addressed.service_subnets, vpc) == ["subnet-50000000", "subnet-60000000"]
    assert chosen_of(addressed.function_subnets, vpc) == ["subnet-10000000", "subnet-20000000"]
    assert addressed.assign_public_ip
    assert len(endpoints(synthesized(stack), "Interface")) == 6


def test_mistakes_are_reported_together_with_the_path(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        Network(
            new_stack(),
            "Network",
            availability_zones=["us-east-1a"],
            nat_gateways=4,
            interface_endpoints=["com.amazonaws.us-east-1.sqs", "SQS"],
            existing_public_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
        )
    assert len(caught.value.mistakes) == 4
    assert str(caught.value).startswith("test/Network: interface endpoint 'SQS' must be")


def test_what_an_existing_vpc_decides_cannot_be_given_beside_it(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct) as caught:
        Network(
            stack,
            "Network",
            existing_vpc=imported_vpc(stack),
            availability_zones=["us-east-1a"],
            nat_gateways=0,
            cidr="10.0.0.0/16",
        )
    assert len(caught.value.mistakes) == 3
