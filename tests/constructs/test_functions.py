"""A function of the kit: what its role may do, and how it gets out of a VPC."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import kit_parts
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, only

from llmops_constructs import ExplicitStack, InvalidConstruct, resource_name
from llmops_constructs.functions import KitFunction
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]


def function(stack: ExplicitStack, id: str = "Sweep", **given: Any) -> KitFunction:
    return KitFunction(
        stack,
        id,
        **{
            "name": id.lower(),
            "prefix": "handbook-test",
            "code": lambda_.Code.from_inline(kit_parts.CODE),
            "handler": "index.handler",
            "description": "Sweeps",
            **given,
        },
    )


def network(stack: ExplicitStack, kind: ec2.SubnetType) -> ec2.Vpc:
    layers = [ec2.SubnetConfiguration(name="inner", subnet_type=kind)]
    return ec2.Vpc(stack, "Vpc", subnet_configuration=layers, restrict_default_security_group=False)


@pytest.fixture(scope="module")
def minimal(alone: Alone) -> Template:
    return alone(function)


@pytest.fixture(scope="module")
def full(new_stack: Stacks) -> Template:
    """One with everything, in a dual-stack VPC somebody else made."""
    stack = new_stack()
    vpc = kit_parts.one_subnet(stack)
    made = function(
        stack,
        vpc=vpc,
        ipv6=True,
        dead_letters=sqs.Queue(stack, "Dead"),
        concurrency=2,
        encryption_key=EncryptionKey(stack, "Key", alias="handbook-test").key,
        environment={"PLACE": "here"},
        timeout=cdk.Duration.minutes(2),
        memory_mib=512,
    )
    made.allow("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:jobs")
    return Template.from_stack(stack)


def test_it_is_what_was_reviewed(
    minimal: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(minimal, "functions")


def test_its_role_writes_one_log_and_nothing_else(minimal: Template) -> None:
    policy = only(minimal, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (statement,) = policy
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert "ManagedPolicyArns" not in only(minimal, "AWS::IAM::Role")


def test_it_has_the_kits_names(minimal: Template) -> None:
    assert only(minimal, "AWS::Lambda::Function")["FunctionName"] == resource_name(
        "handbook-test", "sweep"
    )
    group = only(minimal, "AWS::Logs::LogGroup")
    assert group["LogGroupName"] == "/llmops/handbook-test/sweep"
    assert group["RetentionInDays"] == 30


def test_outside_a_vpc_it_has_neither_group_nor_interfaces(minimal: Template) -> None:
    minimal.resource_count_is("AWS::EC2::SecurityGroup", 0)
    assert "VpcConfig" not in only(minimal, "AWS::Lambda::Function")


def test_what_it_is_given_is_what_it_has(full: Template) -> None:
    found = only(full, "AWS::Lambda::Function")
    assert (found["Timeout"], found["MemorySize"]) == (120, 512)
    assert found["ReservedConcurrentExecutions"] == 2
    assert "TargetArn" in found["DeadLetterConfig"]
    assert "KmsKeyId" in only(full, "AWS::Logs::LogGroup")
    assert found["Environment"]["Variables"]["PLACE"] == "here"


def test_by_ipv6_it_asks_the_endpoints_that_have_it(full: Template) -> None:
    found = only(full, "AWS::Lambda::Function")
    assert found["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    assert found["Environment"]["Variables"]["AWS_USE_DUALSTACK_ENDPOINT"] == "true"
    ways = only(full, "AWS::EC2::SecurityGroup")["SecurityGroupEgress"]
    assert [way.get("CidrIp") or way["CidrIpv6"] for way in ways] == ["0.0.0.0/0", "::/0"]


def test_its_own_code_may_not_do_what_lambda_does_with_its_role(full: Template) -> None:
    statements = only(full, "AWS::IAM::Policy")["PolicyDocument"]["Statement"]
    (denied,) = [each for each in statements if each["Effect"] == "Deny"]
    assert denied["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"].endswith(
        ":function:handbook-test-sweep"
    )


def test_subnets_without_a_way_out_are_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    vpc = network(stack, ec2.SubnetType.PRIVATE_ISOLATED)
    with pytest.raises(InvalidConstruct, match="every call to AWS would hang"):
        function(stack, vpc=vpc)


def test_every_mistake_is_said_at_once(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        function(
            new_stack(),
            timeout=cdk.Duration.minutes(16),
            memory_mib=64,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="inner"),
        )
    assert len(caught.value.mistakes) == 3


def test_the_four_packs_find_nothing(new_stack: Stacks) -> None:
    stack = new_stack()
    vpc = kit_parts.one_subnet(stack)
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    function(stack, "Outside", encryption_key=key)
    function(stack, "Inside", encryption_key=key, vpc=vpc)
    assert findings(stack) == []
