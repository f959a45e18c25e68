"""What CloudFormation gets."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from llmops_runbooks.coordinates import Coordinates, parameter_name

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "LLMOPS_UPDATE_SNAPSHOTS"


class Assembly(Protocol):
    folder: Path
    environment: Any
    templates: dict[str, dict[str, Any]]

    @property
    def gate(self) -> dict[str, Any]: ...
    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]: ...
    def json(self, name: str) -> Any: ...


@pytest.mark.parametrize("what", ["network", "data", "routing", "service"])
def test_the_local_templates_are_the_reviewed_ones(local: Assembly, what: str) -> None:
    text = json.dumps(local.templates[what], indent=1, sort_keys=True) + "\n"
    text = re.sub(r"[0-9a-f]{64}\.zip", "ASSET.zip", text)
    file = SNAPSHOTS / f"{what}.json"
    if os.environ.get(UPDATE):
        file.write_text(text)
    assert json.loads(text) == json.loads(file.read_text()), (
        f"{what} changed: review the difference, then run the test again with {UPDATE}=1"
    )


def test_synthesis_asks_aws_nothing(local: Assembly, prod: Assembly) -> None:
    for assembly in (local, prod):
        assert "missing" not in assembly.json("manifest.json")
        zones = {
            subnet["Properties"]["AvailabilityZone"]
            for subnet in assembly.resources("AWS::EC2::Subnet").values()
        }
        assert zones == set(assembly.environment.zones)


def test_there_are_no_custom_resources_no_transforms_and_no_images_to_build(
    local: Assembly,
) -> None:
    kinds = {resource["Type"] for resource in local.resources().values()}
    assert not {
        kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation", "AWS::Serve"))
    }
    assert all("Transform" not in template for template in local.templates.values())
    for what in local.templates:
        assets = local.json(f"{local.environment.prefix}-{what}.assets.json")
        assert assets["dockerImages"] == {}


def test_the_release_comes_from_parameters_and_what_it_is_has_no_default(local: Assembly) -> None:
    parameters = local.templates["service"]["Parameters"]
    ours = {name: "Default" in value for name, value in parameters.items()}
    del ours["BootstrapVersion"]
    assert ours == {
        "ImageUri": False,
        "ReleaseId": False,
        "CorpusUri": False,
        "BundleUri": True,
        "ReleaseConfiguration": True,
    }


def test_the_container_gets_what_the_service_is_promised(local: Assembly) -> None:
    (task,) = local.resources("AWS::ECS::TaskDefinition").values()
    (container,) = task["Properties"]["ContainerDefinitions"]
    assert {variable["Name"] for variable in container["Environment"]} == {
        "HOST",
        "PORT",
        "SERVICE_NAME",
        "ENVIRONMENT",
        "RELEASE",
        "RELEASE_CONFIGURATION",
        "METRIC_NAMESPACE",
        "CORPUS_URI",
        "BUNDLE_URI",
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_NAME",
        "DATABASE_SECRET",
        "BEARER_TOKENS_SECRET",
    }
    assert "Secrets" not in container, "what rotates is read while the task runs"
    assert container["Name"] == "service"
    assert container["Image"] == {"Ref": "ImageUri"}


def test_what_only_a_person_changes_is_injected(prod: Assembly) -> None:
    tasks = prod.resources("AWS::ECS::TaskDefinition").values()
    (container,) = (
        each
        for task in tasks
        for each in task["Properties"]["ContainerDefinitions"]
        if each["Name"] == "service"
    )
    assert {secret["Name"] for secret in container["Secrets"]} == {
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "LANGFUSE_PUBLIC_KEY",
        "LANGFUSE_SECRET_KEY",
        "VALKEY_URL",
    }


def test_the_gate_is_asked_before_any_user_and_before_each_step(local: Assembly) -> None:
    (service,) = local.resources("AWS::ECS::Service").values()
    (hook,) = service["Properties"]["DeploymentConfiguration"]["LifecycleHooks"]
    assert hook["LifecycleStages"] == ["POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"]


def test_the_gate_is_where_it_reaches_the_test_listener(local: Assembly, prod: Assembly) -> None:
    for assembly in (local, prod):
        function = assembly.gate
        subnets = function["Properties"]["VpcConfig"]["SubnetIds"]
        assert len(subnets) == len(assembly.environment.zones)
        endpoints = assembly.resources("AWS::EC2::VPCEndpoint").values()
        gateways = assembly.resources("AWS::EC2::NatGateway")
        services = {str(each["Properties"]["ServiceName"]) for each in endpoints}
        ways = {name for name in ("ecs", "monitoring") if any(name in each for each in services)}
        assert gateways or ways == {"ecs", "monitoring"}


def test_the_gate_is_told_the_policy(local: Assembly) -> None:
    (service,) = local.resources("AWS::ECS::Service").values()
    (hook,) = service["Properties"]["DeploymentConfiguration"]["LifecycleHooks"]
    assert json.loads(hook["HookDetails"]) == {
        "policy": local.environment.policy.to_settings(),
        "callback_seconds": local.environment.callback_seconds,
    }


@pytest.mark.parametrize("name", ["local", "prod"])
def test_the_coordinates_are_complete_and_fit_a_parameter(
    assembly: Callable[[str], Assembly], name: str
) -> None:
    made = assembly(name)
    (parameter,) = made.resources("AWS::SSM::Parameter").values()
    properties = parameter["Properties"]
    environment = made.environment
    assert properties["Name"] == parameter_name(environment.service_name, environment.name)
    parts = properties["Value"]["Fn::Join"][1]
    arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/" + "x" * 50
    text = "".join(part if isinstance(part, str) else arn for part in parts)
    coordinates = Coordinates.model_validate_json(text)
    assert set(json.loads(text)) == set(Coordinates.model_fields)
    assert len(coordinates.alarms) == 7
    assert len(text) < 4096
    assert set(coordinates.secrets) == {"tokens", *environment.secrets.providers} | (
        {"database", "langfuse"} if name == "prod" else set()
    )


def test_the_local_service_is_where_the_settings_say(local: Assembly) -> None:
    (parameter,) = local.resources("AWS::SSM::Parameter").values()
    text = "".join(map(str, parameter["Properties"]["Value"]["Fn::Join"][1]))
    assert ":8080" in text
    assert ":8081" in text


def test_only_throw_away_environments_can_be_thrown_away(local: Assembly, prod: Assembly) -> None:
    for assembly, kept in ((local, False), (prod, True)):
        artifacts = assembly.json("manifest.json")["artifacts"].values()
        stacks = [item for item in artifacts if item["type"] == "aws:cloudformation:stack"]
        protected = {item["properties"].get("terminationProtection", False) for item in stacks}
        assert protected == {kept}
        policy = "Retain" if kept else "Delete"
        for kind in ("S3::Bucket", "SecretsManager::Secret", "ECR::Repository", "Logs::LogGroup"):
            found = assembly.resources(f"AWS::{kind}").values()
            assert {resource["DeletionPolicy"] for resource in found} == {policy}
        (database,) = assembly.resources("AWS::RDS::DBInstance").values()
        assert database["DeletionPolicy"] == ("Snapshot" if kept else "Delete")
        assert database["Properties"]["DeletionProtection"] is kept


def test_a_tag_never_touches_a_listener_rule(local: Assembly) -> None:
    rules = local.resources("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    assert ["Tags" in rule["Properties"] for rule in rules] == [False, False]
