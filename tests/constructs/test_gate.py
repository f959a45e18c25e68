import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import kit_parts
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from templates import Alone

from llmops_constructs import (
    ArtifactStore,
    ExplicitStack,
    GateFunction,
    InvalidConstruct,
    Network,
    ServiceSecrets,
    new_app,
)

INTERFACES = {
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}


def gate(stack: ExplicitStack, **golden: Any) -> GateFunction:
    return GateFunction(
        stack,
        "Gate",
        prefix="handbook-test",
        code=lambda_.Code.from_inline(kit_parts.CODE),
        handler="index.handler",
        cluster_name="handbook-test",
        service_name="handbook",
        environment="test",
        metric_namespace="llmops",
        artifact_bucket=ArtifactStore(stack, "Artifacts").bucket,
        **golden,
    )


def inside(stack: ExplicitStack, nat_gateways: int = 1) -> dict[str, Any]:
    """What a gate needs to ask golden sets."""
    network = Network(stack, "Network", nat_gateways=nat_gateways)
    routing = kit_parts.routing(stack, network)
    return {
        "vpc": network.vpc,
        "vpc_subnets": network.service_subnets,
        "routing": routing,
        "tokens": ServiceSecrets(stack, "Secrets").tokens,
    }


@pytest.fixture(scope="module")
def template(alone: Alone) -> Template:
    return alone(gate)


@pytest.fixture(scope="module")
def golden(alone: Alone) -> Template:
    """A gate that can ask golden sets."""
    return alone(lambda stack: gate(stack, **inside(stack)))


def the_gate(template: Template) -> dict[str, Any]:
    """The gate's function, beside those of the network."""
    (function,) = (
        function
        for name, function in template.find_resources("AWS::Lambda::Function").items()
        if name.startswith("Gate")
    )
    return dict(function)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(template: Template, effect: str = "Allow") -> dict[str, Any]:
    """Action -> resource, of the gate's role."""
    (policy,) = (
        policy
        for name, policy in template.find_resources("AWS::IAM::Policy").items()
        if name.startswith("GateRole")
    )
    return {
        action: statement["Resource"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == effect
        for action in listed(statement["Action"])
    }


def keys(resources: Any) -> set[str]:
    """The ends of the ARNs of a bucket's objects."""
    return {resource["Fn::Join"][1][-1] for resource in listed(resources)}


def test_it_can_neither_start_nor_stop_a_deployment(template: Template) -> None:
    ecs = {action for action in actions(template) if action.startswith("ecs:")}
    assert all(action.startswith("ecs:Describe") for action in ecs)


def test_it_sees_the_rollouts_of_one_service_only(template: Template) -> None:
    ecs = "arn:aws:ecs:us-east-1:123456789012:"
    assert actions(template)["ecs:DescribeServiceDeployments"] == [
        f"{ecs}service-deployment/handbook-test/handbook/*",
        f"{ecs}service/handbook-test/handbook",
    ]


def test_its_findings_are_answered_beside_its_bucket_too(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    stack = ExplicitStack(
        app, "one", account="123456789012", region="us-east-1", availability_zones=()
    )
    gate(stack)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    assert (tmp_path / "one.template.json").exists()


def test_it_reads_releases_and_golden_sets_and_writes_records_and_results_only(
    template: Template,
) -> None:
    allowed = actions(template)
    assert keys(allowed["s3:GetObject"]) == {"/rollouts/*", "/releases/*", "/golden/*"}
    assert keys(allowed["s3:PutObject"]) == {"/rollouts/*", "/golden/results/*"}


def test_outside_a_vpc_it_has_neither_tokens_nor_interfaces(template: Template) -> None:
    allowed = set(actions(template))
    assert not {action for action in allowed if action.startswith(("ec2:", "secretsmanager:"))}
    (function,) = template.find_resources("AWS::Lambda::Function").values()
    assert "VpcConfig" not in function["Properties"]
    assert "TEST_URL" not in function["Properties"]["Environment"]["Variables"]


def test_it_reads_one_secret(golden: Template) -> None:
    (secret,) = golden.find_resources("AWS::SecretsManager::Secret")
    assert actions(golden)["secretsmanager:GetSecretValue"] == {"Ref": secret}


def test_lambda_may_put_it_into_the_vpc_and_its_own_code_may_not(golden: Template) -> None:
    allowed, denied = actions(golden), actions(golden, "Deny")
    assert {action for action in allowed if action.startswith("ec2:")} == INTERFACES
    assert set(denied) == INTERFACES
    wide = {action for action in INTERFACES if allowed[action] == "*"}
    assert wide == {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"}
    policy = json.dumps(golden.find_resources("AWS::IAM::Policy"))
    function = "arn:aws:lambda:us-east-1:123456789012:function:handbook-test-gate"
    assert json.dumps({"ArnEquals": {"lambda:SourceFunctionArn": function}}) in policy


def test_it_reaches_aws_and_the_two_listeners_and_nothing_else(golden: Template) -> None:
    (group,) = (
        group["Properties"]
        for name, group in golden.find_resources("AWS::EC2::SecurityGroup").items()
        if name.startswith("GateGroup")
    )
    assert "SecurityGroupIngress" not in group
    ways = {rule["ToPort"]: rule for rule in group["SecurityGroupEgress"]}
    assert set(ways) == {443, 80, 8081}
    assert ways[443]["CidrIp"] == "0.0.0.0/0"
    for port in (80, 8081):
        assert "Routing" in ways[port]["DestinationSecurityGroupId"]["Fn::GetAtt"][0]


def test_it_is_told_where_to_ask(golden: Template) -> None:
    function = the_gate(golden)
    variables = function["Properties"]["Environment"]["Variables"]
    assert variables["TEST_URL"]["Fn::Join"][1][-1] == ":8081"
    assert variables["SERVICE_URL"]["Fn::Join"][1][-1] == ":80"
    assert "Ref" in variables["TOKEN_SECRET_ARN"]


def test_it_ends_before_ecs_stops_waiting(golden: Template) -> None:
    function = the_gate(golden)
    assert function["Properties"]["Timeout"] < 30


def test_isolated_subnets_are_fine_with_the_networks_endpoints(
    new_stack: Callable[..., ExplicitStack],
) -> None:
    stack = new_stack()
    assert gate(stack, **inside(stack, nat_gateways=0)).security_group is not None


def test_subnets_from_which_every_call_would_hang_are_refused(
    new_stack: Callable[..., ExplicitStack],
) -> None:
    stack = new_stack()
    isolated = ec2.SubnetConfiguration(name="inner", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", subnet_configuration=[isolated])
    with pytest.raises(InvalidConstruct, match="every call to AWS would hang"):
        gate(stack, vpc=vpc)


def test_what_belongs_together_must_be_given_together(
    new_stack: Callable[..., ExplicitStack],
) -> None:
    stack = new_stack()
    parts = inside(stack)
    with pytest.raises(InvalidConstruct) as caught:
        gate(stack, routing=parts["routing"], vpc_subnets=parts["vpc_subnets"])
    assert len(caught.value.mistakes) == 3


def test_a_golden_gates_findings_are_answered(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    zones = ("us-east-1a", "us-east-1b")
    stack = ExplicitStack(
        app, "one", account="123456789012", region="us-east-1", availability_zones=zones
    )
    gate(stack, **inside(stack))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    assert (tmp_path / "one.template.json").exists()
