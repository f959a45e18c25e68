"""Task definitions come back as they were sent."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

EVERYTHING: dict[str, Any] = {
    "family": "whole",
    "taskRoleArn": "arn:aws:iam::123456789012:role/task",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "512",
    "memory": "1024",
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "ephemeralStorage": {"sizeInGiB": 30},
    "enableFaultInjection": False,
    "volumes": [{"name": "scratch"}],
    "containerDefinitions": [
        {
            "name": "service",
            "image": "repo@sha256:" + "a" * 64,
            "portMappings": [{"containerPort": 8080, "protocol": "tcp", "appProtocol": "http"}],
            "environment": [{"name": "RELEASE", "value": "1.0.0-abcdef01"}],
            "secrets": [{"name": "TOKENS", "valueFrom": "arn:aws:secretsmanager:x:1:secret:t"}],
            "stopTimeout": 60,
            "readonlyRootFilesystem": True,
            "healthCheck": {"command": ["CMD", "true"], "interval": 10},
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "g", "mode": "non-blocking"},
            },
            "dockerLabels": {"Team.Name": "x"},
            "linuxParameters": {"initProcessEnabled": True},
            "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        }
    ],
}


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


def test_everything_that_is_sent_comes_back(cloud: Any) -> None:
    tags = [{"key": "service", "value": "x"}]
    registered = cloud.ecs.register_task_definition(**EVERYTHING, tags=tags)
    assert registered["tags"] == tags
    told = cloud.ecs.describe_task_definition(taskDefinition="whole", include=["TAGS"])
    assert told["tags"] == tags
    definition = told["taskDefinition"]
    assert contains(definition, EVERYTHING)
    assert definition["revision"] == 1
    assert definition["status"] == "ACTIVE"
    assert definition["registeredAt"] == cloud.clock.now()
    assert definition["compatibilities"] == ["EC2", "FARGATE"]
    assert definition["containerDefinitions"][0]["portMappings"][0]["hostPort"] == 8080


def test_a_definition_that_is_described_can_be_registered_again(cloud: Any) -> None:
    cloud.ecs.register_task_definition(**EVERYTHING)
    told = cloud.ecs.describe_task_definition(taskDefinition="whole:1")["taskDefinition"]
    accepted = cloud.ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape
    clone = {key: value for key, value in told.items() if key in accepted.members}
    again = cloud.ecs.register_task_definition(**clone)["taskDefinition"]
    assert again["revision"] == 2
    assert again["containerDefinitions"] == told["containerDefinitions"]


def test_a_deregistered_definition_is_inactive_and_still_described(cloud: Any) -> None:
    first, second = cloud.register("1"), cloud.register("2")
    cloud.ecs.deregister_task_definition(taskDefinition=second)
    told = cloud.ecs.describe_task_definition(taskDefinition=second)["taskDefinition"]
    assert told["status"] == "INACTIVE"
    assert told["deregisteredAt"] == cloud.clock.now()
    latest = cloud.ecs.describe_task_definition(taskDefinition="web")["taskDefinition"]
    assert latest["taskDefinitionArn"] == first
    assert cloud.ecs.list_task_definitions(familyPrefix="web")["taskDefinitionArns"] == [first]
    inactive = cloud.ecs.list_task_definitions(familyPrefix="web", status="INACTIVE")
    assert inactive["taskDefinitionArns"] == [second]


def test_revisions_are_listed_newest_first_on_request(cloud: Any) -> None:
    arns = [cloud.register(str(number)) for number in range(3)]
    told = cloud.ecs.list_task_definitions(familyPrefix="web", sort="DESC", maxResults=2)
    assert told["taskDefinitionArns"] == arns[:0:-1]
    rest = cloud.ecs.list_task_definitions(
        familyPrefix="web", sort="DESC", maxResults=2, nextToken=told["nextToken"]
    )
    assert rest["taskDefinitionArns"] == arns[:1]
    assert cloud.ecs.list_task_definition_families(familyPrefix="we")["families"] == ["web"]


def test_only_an_inactive_definition_can_be_deleted(cloud: Any) -> None:
    arn = cloud.register()
    refused = cloud.ecs.delete_task_definitions(taskDefinitions=[arn])["failures"]
    assert refused[0]["arn"] == arn
    cloud.ecs.deregister_task_definition(taskDefinition=arn)
    deleted = cloud.ecs.delete_task_definitions(taskDefinitions=[arn])["taskDefinitions"]
    assert deleted[0]["status"] == "DELETE_IN_PROGRESS"


@pytest.mark.parametrize(
    ("container", "message"),
    [({"name": "x"}, "Container.image"), ({"image": "x"}, "Container.name")],
)
def test_a_container_needs_a_name_and_an_image(
    cloud: Any, container: dict[str, str], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.ecs.register_task_definition(family="f", containerDefinitions=[container])


def test_an_unknown_definition_is_refused(cloud: Any) -> None:
    with pytest.raises(ClientError, match="Unable to describe task definition"):
        cloud.ecs.describe_task_definition(taskDefinition="none")


def test_definitions_and_services_carry_tags(cloud: Any) -> None:
    for arn in (cloud.register(), _service_arn(cloud)):
        cloud.ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}])
        cloud.ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}])
        assert cloud.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [
            {"key": "a", "value": "2"}
        ]
        cloud.ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert cloud.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []


def _service_arn(cloud: Any) -> str:
    cloud.create()
    return str(cloud.service()["serviceArn"])
