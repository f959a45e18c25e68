import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aws_cdk as cdk
import botocore.session
import kit_parts
import pytest
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Match, Template
from botocore.validate import ParamValidator

from llmops_constructs import (
    Canary,
    Database,
    ExplicitStack,
    FargateLlmService,
    InvalidConstruct,
    LambdaHook,
    LlmRouting,
    Network,
    Routing,
    ServiceAlarms,
    rollout,
)

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]

IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/handbook@sha256:{'0' * 64}"
CANARY = Canary(percent=10, bake_minutes=1, final_bake_minutes=5)


@dataclass
class Ground:
    """What a service stands on."""

    stack: ExplicitStack
    network: Network
    routing: LlmRouting
    alarms: ServiceAlarms
    database: Database
    function: lambda_.Function

    def service(self, id: str = "Service", **changes: Any) -> FargateLlmService:
        arguments: dict[str, Any] = {
            "prefix": "handbook-test",
            "service_name": "handbook",
            "vpc": self.network.vpc,
            "vpc_subnets": self.network.service_subnets,
            "image_uri": IMAGE,
            "routing": self.routing.routing,
            "canary": CANARY,
            "alarms": self.alarms.alarms,
        }
        return FargateLlmService(self.stack, id, **(arguments | changes))


@pytest.fixture(scope="module")
def ground(new_stack: Stacks) -> Ground:
    stack = new_stack()
    network = Network(stack, "Network", nat_gateways=0)
    database = Database(
        stack,
        "Data",
        vpc=network.vpc,
        vpc_subnets=network.database_subnets,
        database_name="handbook",
    )
    routing = kit_parts.routing(stack, network)
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_inline(kit_parts.CODE),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
    )
    alarms = ServiceAlarms(
        stack, "Alarms", prefix="handbook-test", routing=routing, database=database
    )
    return Ground(stack, network, routing, alarms, database, function)


@pytest.fixture(scope="module")
def template(ground: Ground, synthesized: Synthesized) -> Template:
    hook = LambdaHook(function=ground.function, details={"callback_seconds": 15})
    ground.service(hook=hook, database=ground.database, environment={"RELEASE": "1.0.0-abcdef01"})
    return synthesized(ground.stack)


@pytest.fixture(scope="module")
def service(template: Template) -> dict[str, Any]:
    (resource,) = template.find_resources("AWS::ECS::Service").values()
    return dict(resource)


def test_the_task_definition_is_named_by_family_only(service: dict[str, Any]) -> None:
    assert service["Properties"]["TaskDefinition"] == "handbook-test"


def test_ecs_moves_the_canary_and_then_bakes(service: dict[str, Any]) -> None:
    configuration = service["Properties"]["DeploymentConfiguration"]
    assert configuration["Strategy"] == "CANARY"
    assert configuration["CanaryConfiguration"] == {
        "CanaryPercent": 10,
        "CanaryBakeTimeInMinutes": 1,
    }
    assert configuration["BakeTimeInMinutes"] == 5
    assert "DeploymentCircuitBreaker" not in configuration


def test_every_alarm_rolls_a_deployment_back(service: dict[str, Any], ground: Ground) -> None:
    alarms = service["Properties"]["DeploymentConfiguration"]["Alarms"]
    assert alarms["Enable"] is True
    assert alarms["Rollback"] is True
    assert len(alarms["AlarmNames"]) == len(ground.alarms.alarms) == 7


def test_the_gate_is_asked_before_each_step(service: dict[str, Any]) -> None:
    (hook,) = service["Properties"]["DeploymentConfiguration"]["LifecycleHooks"]
    assert hook["LifecycleStages"] == ["PRE_PRODUCTION_TRAFFIC_SHIFT"]
    assert hook["TargetType"] == "AWS_LAMBDA"
    assert json.loads(hook["HookDetails"]) == {"callback_seconds": 15}


def test_ecs_understands_the_deployment_configuration(service: dict[str, Any]) -> None:
    """Checked against botocore's model of the API the template ends in."""
    model = botocore.session.get_session().get_service_model("ecs")
    for name, shape in (
        ("DeploymentConfiguration", "DeploymentConfiguration"),
        ("LoadBalancers", "LoadBalancers"),
    ):
        value = _api_spelling(service["Properties"][name])
        report = ParamValidator().validate(value, model.shape_for(shape))
        assert not report.has_errors(), report.generate_report()
        assert _unknown(value, model.shape_for(shape)) == []


def test_the_service_waits_for_its_roles_and_its_ways_in(
    service: dict[str, Any], template: Template
) -> None:
    """Its first deployment calls the hook, pulls the image and is health-checked at once."""
    waits = set(service["DependsOn"])
    policies = template.find_resources("AWS::IAM::Policy")
    ours = {name for name in policies if name.startswith("Service")}
    assert len(ours) == 3
    assert ours <= waits
    rules = set(template.find_resources("AWS::ElasticLoadBalancingV2::ListenerRule"))
    ways = set(template.find_resources("AWS::EC2::SecurityGroupIngress"))
    assert rules | ways <= waits


def test_tasks_are_private(service: dict[str, Any]) -> None:
    network = service["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"


def test_the_container_is_told_where_to_listen_and_where_the_database_is(
    template: Template,
) -> None:
    (task,) = template.find_resources("AWS::ECS::TaskDefinition").values()
    (container,) = task["Properties"]["ContainerDefinitions"]
    variables = {variable["Name"]: variable["Value"] for variable in container["Environment"]}
    assert {"HOST": "0.0.0.0", "PORT": "8080", "RELEASE": "1.0.0-abcdef01"}.items() <= (
        variables.items()
    )
    assert {"DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME"} <= set(variables)
    secrets = {secret["Name"]: secret["ValueFrom"] for secret in container["Secrets"]}
    assert set(secrets) == {"DATABASE_USER", "DATABASE_PASSWORD"}
    assert secrets["DATABASE_PASSWORD"]["Fn::Join"][1][-1] == ":password::"


def test_only_the_load_balancer_reaches_the_tasks_and_only_the_tasks_the_database(
    template: Template,
) -> None:
    ways = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    ports = sorted(way["Properties"]["FromPort"] for way in ways)
    assert ports == [5432, 8080]
    assert all("SourceSecurityGroupId" in way["Properties"] for way in ways)


def test_ecs_may_move_this_services_rules_and_groups_only(template: Template) -> None:
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": Match.array_with(
                        [
                            {
                                "Action": "elasticloadbalancing:ModifyRule",
                                "Effect": "Allow",
                                "Resource": [
                                    {"Ref": Match.string_like_regexp("ProductionRule")},
                                    {"Ref": Match.string_like_regexp("TestRule")},
                                ],
                            }
                        ]
                    )
                }
            )
        },
    )


def test_errors_are_a_share_of_requests_and_silence_is_not_an_alarm(template: Template) -> None:
    template.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": "handbook-test-5xx-share",
            "Threshold": 5,
            "TreatMissingData": "notBreaching",
            "Metrics": Match.array_with(
                [Match.object_like({"Expression": "100*(FILL(e5xx,0)/requests)"})]
            ),
        },
    )
    template.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"AlarmName": "handbook-test-p95-latency", "ExtendedStatistic": "p95", "Threshold": 2},
    )
    template.all_resources_properties(
        "AWS::CloudWatch::Alarm", {"TreatMissingData": "notBreaching"}
    )


def test_a_canary_without_its_parts_is_refused_with_all_that_is_missing(ground: Ground) -> None:
    breaker = ecs.DeploymentCircuitBreaker(rollback=True)
    with pytest.raises(InvalidConstruct) as caught:
        ground.service("Bare", routing=None, canary=None, alarms=(), circuit_breaker=breaker)
    message = str(caught.value)
    assert caught.value.path == "test/Bare"
    assert len(caught.value.mistakes) == 4
    for missing in ("load balancer", "its settings", "alarms", "circuit breaker"):
        assert missing in message


def test_a_canary_without_an_alternate_target_group_is_refused(ground: Ground) -> None:
    alone = replace(ground.routing.routing, alternate_target_group_arn=None)
    with pytest.raises(InvalidConstruct, match="alternate target group"):
        ground.service("Alone", routing=alone)


@pytest.mark.parametrize(
    ("change", "mistakes"),
    [
        ({"percent": 0.1}, 0),
        ({"percent": 0.09}, 1),
        ({"percent": 100.0}, 0),
        ({"percent": 100.1}, 1),
        ({"percent": 0.25}, 1),
        ({"bake_minutes": 1440, "final_bake_minutes": 540}, 0),
        ({"bake_minutes": 1440, "final_bake_minutes": 541}, 1),
        ({"bake_minutes": -1}, 1),
        ({"bake_minutes": 1441, "final_bake_minutes": 0}, 1),
    ],
)
def test_percent_and_bakes_stay_in_the_ranges_of_aws(
    new_stack: Stacks, change: dict[str, Any], mistakes: int
) -> None:
    routing = _any_routing()
    try:
        asked = rollout.Asked(replace(CANARY, **change), routing, None, alarms=1, hook=None)
        rollout.accept(new_stack(), asked)
        found = 0
    except InvalidConstruct as error:
        found = len(error.mistakes)
    assert found == mistakes


def test_a_hook_names_stages_that_ecs_has(ground: Ground) -> None:
    hook = LambdaHook(function=ground.function, stages=["BEFORE_LUNCH"])
    with pytest.raises(InvalidConstruct, match="no lifecycle stage BEFORE_LUNCH"):
        ground.service("Hooked", hook=hook)


def _any_routing() -> Routing:
    return Routing(
        target_group_arn="blue",
        alternate_target_group_arn="green",
        production_rule_arn="production",
        test_rule_arn="test",
        security_group_id="sg-1",
        ready=cdk.App(),
    )


def _api_spelling(value: Any) -> Any:
    """A property as the ECS API spells it; references become some text, JSON text a document."""
    if isinstance(value, list):
        return [_api_spelling(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
        return "reference"
    return {
        name[0].lower() + name[1:]: json.loads(item)
        if name == "HookDetails"
        else _api_spelling(item)
        for name, item in value.items()
    }


def _unknown(value: Any, shape: Any) -> list[str]:
    """Members the model does not have."""
    if shape.type_name == "list":
        return [name for item in value for name in _unknown(item, shape.member)]
    if shape.type_name != "structure" or getattr(shape, "is_document_type", False):
        return []
    return [name for name in value if name not in shape.members] + [
        name
        for member, item in value.items()
        if member in shape.members
        for name in _unknown(item, shape.members[member])
    ]
