"""AWS::ECS::TaskDefinition and AWS::ECS::Service, as the project's service stack declares them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ecs.memory import BLUE, GATE, GREEN, PRODUCTION, TEST
from llmops_localcloud.ecs.properties import to_parameters

DETAILS = {"callback_seconds": 15, "policy": {"Alpha": 0.01, "minimumRequests": 50}}


def template(release: str = "1.0.0-aaaaaaaa", **service: Any) -> dict[str, Any]:
    """The ECS resources of the service stack, with its references resolved."""
    definition = {
        "ContainerDefinitions": [
            {
                "Environment": [
                    {"Name": "HOST", "Value": "0.0.0.0"},
                    {"Name": "PORT", "Value": "8080"},
                    {"Name": "RELEASE", "Value": release},
                ],
                "Essential": True,
                "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x@sha256:" + "a" * 64,
                "LogConfiguration": {
                    "LogDriver": "awslogs",
                    "Options": {"awslogs-group": "g", "awslogs-stream-prefix": "service"},
                },
                "Name": "service",
                "PortMappings": [{"ContainerPort": 8080, "Protocol": "tcp"}],
                "Secrets": [{"Name": "BEARER_TOKENS", "ValueFrom": "arn:aws:secretsmanager:x"}],
                "StopTimeout": 60,
            }
        ],
        "Cpu": "512",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "Family": "handbook-local",
        "Memory": "1024",
        "NetworkMode": "awsvpc",
        "RequiresCompatibilities": ["FARGATE"],
        "RuntimePlatform": {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"},
        "Tags": [{"Key": "service", "Value": "handbook"}],
        "TaskRoleArn": "arn:aws:iam::123456789012:role/task",
    }
    return {
        "Resources": {
            "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": definition},
            "Service": {
                "Type": "AWS::ECS::Service",
                "DependsOn": ["Task"],
                "Properties": {**service_properties(), **service},
            },
        },
        "Outputs": {
            "Task": {"Value": {"Ref": "Task"}},
            "Arn": {"Value": {"Ref": "Service"}},
            "Name": {"Value": {"Fn::GetAtt": ["Service", "Name"]}},
        },
    }


def service_properties() -> dict[str, Any]:
    return {
        "Cluster": "c",
        "DeploymentConfiguration": {
            "Alarms": {"AlarmNames": ["errors"], "Enable": True, "Rollback": True},
            "BakeTimeInMinutes": 0,
            "CanaryConfiguration": {"CanaryBakeTimeInMinutes": 0, "CanaryPercent": 10},
            "LifecycleHooks": [
                {
                    "TargetType": "AWS_LAMBDA",
                    "HookTargetArn": GATE,
                    "RoleArn": "arn:aws:iam::123456789012:role/hooks",
                    "LifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"],
                    "HookDetails": json.dumps(DETAILS),
                }
            ],
            "MaximumPercent": 200,
            "MinimumHealthyPercent": 100,
            "Strategy": "CANARY",
        },
        "DesiredCount": 2,
        "EnableECSManagedTags": True,
        "HealthCheckGracePeriodSeconds": 60,
        "LaunchType": "FARGATE",
        "LoadBalancers": [
            {
                "AdvancedConfiguration": {
                    "AlternateTargetGroupArn": GREEN,
                    "ProductionListenerRule": PRODUCTION,
                    "RoleArn": "arn:aws:iam::123456789012:role/infrastructure",
                    "TestListenerRule": TEST,
                },
                "ContainerName": "service",
                "ContainerPort": 8080,
                "TargetGroupArn": BLUE,
            }
        ],
        "NetworkConfiguration": {
            "AwsvpcConfiguration": {
                "AssignPublicIp": "DISABLED",
                "SecurityGroups": ["sg-1"],
                "Subnets": ["subnet-1", "subnet-2"],
            }
        },
        "PropagateTags": "SERVICE",
        "ServiceName": "web",
        "Tags": [{"Key": "service", "Value": "handbook"}],
        "TaskDefinition": "handbook-local",
    }


class Stack:
    """One CloudFormation stack on a cloud that ticks by itself."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.name = f"stack-{uuid.uuid4().hex[:8]}"
        self.api = cloud.client("cloudformation")
        cloud.engine.start(0.002)

    def create(self, body: dict[str, Any]) -> dict[str, str]:
        self.api.create_stack(StackName=self.name, TemplateBody=json.dumps(body))
        told = self.api.describe_stacks(StackName=self.name)["Stacks"][0]
        return {each["OutputKey"]: each["OutputValue"] for each in told["Outputs"]}

    def update(self, body: dict[str, Any]) -> None:
        self.api.update_stack(StackName=self.name, TemplateBody=json.dumps(body))

    def delete(self) -> None:
        self.api.delete_stack(StackName=self.name)


@pytest.fixture
def stack(cloud: Any) -> Stack:
    return Stack(cloud)


def test_creating_a_service_ends_when_its_first_deployment_has(cloud: Any, stack: Stack) -> None:
    outputs = stack.create(template())
    assert outputs["Task"].endswith("task-definition/handbook-local:1")
    assert outputs["Arn"].endswith("service/c/web")
    assert outputs["Name"] == "web"
    assert cloud.status(cloud.latest()) == "SUCCESSFUL"
    assert len(cloud.tasks.running()) == 2
    told = cloud.service()
    assert told["healthCheckGracePeriodSeconds"] == 60
    assert told["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0] == "subnet-1"
    tags = cloud.ecs.list_tags_for_resource(resourceArn=outputs["Arn"])["tags"]
    assert tags == [{"key": "service", "value": "handbook"}]


def test_free_json_and_values_keep_their_spelling(cloud: Any, stack: Stack) -> None:
    stack.create(template())
    assert cloud.functions.calls[0]["hookDetails"] == DETAILS
    found = cloud.ecs.describe_task_definition(taskDefinition="handbook-local")
    (container,) = found["taskDefinition"]["containerDefinitions"]
    assert container["environment"][2] == {"name": "RELEASE", "value": "1.0.0-aaaaaaaa"}
    assert container["logConfiguration"]["options"]["awslogs-group"] == "g"
    assert container["stopTimeout"] == 60
    assert found["taskDefinition"]["runtimePlatform"]["cpuArchitecture"] == "X86_64"


def test_a_first_deployment_that_fails_fails_the_stack_and_leaves_no_task(
    cloud: Any, stack: Stack
) -> None:
    cloud.functions.script = lambda payload: {"hookStatus": "FAILED"}
    with pytest.raises(ClientError) as told:
        stack.create(template())
    assert "ended as ROLLBACK_FAILED" in str(told.value)
    assert "returned FAILED status" in str(told.value)
    assert cloud.tasks.running() == []
    assert cloud.service()["status"] == "INACTIVE"


def test_a_changed_task_definition_alone_leaves_the_service_alone(cloud: Any, stack: Stack) -> None:
    """The service names only the family, so its own properties have not changed."""
    stack.create(template())
    first = cloud.latest()
    stack.update(template(release="1.1.0-bbbbbbbb"))
    assert cloud.latest() == first
    listed = cloud.ecs.list_task_definitions(familyPrefix="handbook-local")["taskDefinitionArns"]
    assert [arn.rsplit(":", 1)[1] for arn in listed] == ["2"]


def test_a_changed_service_is_sent_again_whole_with_the_latest_active_revision(
    cloud: Any, stack: Stack
) -> None:
    stack.create(template())
    first = cloud.latest()
    stack.update(template(release="1.1.0-bbbbbbbb", DesiredCount=3))
    second = cloud.latest()
    assert second != first
    assert cloud.status(second) == "SUCCESSFUL"
    assert cloud.service()["taskDefinition"].endswith("handbook-local:2")
    assert cloud.router.rules[PRODUCTION] == {BLUE: 0, GREEN: 100}
    assert len(cloud.tasks.running()) == 3


def test_re_sent_load_balancers_do_not_stop_the_groups_from_swapping(
    cloud: Any, stack: Stack
) -> None:
    stack.create(template())
    stack.update(template(release="1.1.0-bbbbbbbb", DesiredCount=3))
    stack.update(template(release="1.2.0-cccccccc", DesiredCount=2))
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}


def test_an_update_that_rolls_back_fails_once(cloud: Any, stack: Stack) -> None:
    """moto tries failed updates again; that must not start the rollout again."""
    stack.create(template())
    cloud.functions.script = lambda payload: {"hookStatus": "FAILED"}
    with pytest.raises(ClientError, match="ended as ROLLBACK_SUCCESSFUL"):
        stack.update(template(release="1.1.0-bbbbbbbb", DesiredCount=3))
    deployments = cloud.ecs.list_service_deployments(cluster="c", service="web")
    assert len(deployments["serviceDeployments"]) == 2


def test_deleting_the_stack_stops_all_tasks(cloud: Any, stack: Stack) -> None:
    outputs = stack.create(template())
    stack.delete()
    assert cloud.tasks.running() == []
    assert cloud.service()["status"] == "INACTIVE"
    told = cloud.ecs.describe_task_definition(taskDefinition=outputs["Task"])
    assert told["taskDefinition"]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LaunchType": "EC2"}, "A change of launchType needs a new service"),
        ({"Wrong": 1}, "Property Wrong is not emulated"),
    ],
)
def test_what_cannot_be_changed_is_told(stack: Stack, change: dict[str, Any], message: str) -> None:
    stack.create(template())
    with pytest.raises(ClientError, match=message):
        stack.update(template(**change))


def test_bakes_longer_than_cloudformation_waits_are_refused(stack: Stack) -> None:
    config = {
        **service_properties()["DeploymentConfiguration"],
        "BakeTimeInMinutes": 600,
        "LifecycleHooks": [{"TargetType": "PAUSE", "LifecycleStages": ["PRE_SCALE_UP"]}],
    }
    with pytest.raises(ClientError) as told:
        stack.create(template(DeploymentConfiguration=config))
    assert (
        "Total bake time (2040 minutes) for progressive deployment exceeds the Cloudformation "
        "limit of 33 hours."
    ) in str(told.value)


def test_strings_become_what_the_model_wants() -> None:
    sent = to_parameters(
        "CreateService",
        {
            "DesiredCount": "2",
            "EnableExecuteCommand": "false",
            "DeploymentConfiguration": {"CanaryConfiguration": {"CanaryPercent": "12.5"}},
        },
    )
    assert sent == {
        "desiredCount": 2,
        "enableExecuteCommand": False,
        "deploymentConfiguration": {"canaryConfiguration": {"canaryPercent": 12.5}},
    }
