"""What the container of a service is told, and what its task may do for it."""

import json
from collections.abc import Callable
from typing import Any

import brought_along
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk.assertions import Template
from kit_parts import service
from policies import findings
from templates import Alone

from llm_service import live_tokens
from llm_service.telemetry import settings as telemetry
from llmops_constructs import (
    ExplicitStack,
    InvalidConstruct,
)
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.traces import pinned

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]

COLLECTOR = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3"


@pytest.fixture(scope="module")
def plain(alone: Alone) -> Template:
    return alone(service)


def production(new_stack: Stacks) -> ExplicitStack:
    """Everything that is read while it runs, and traced."""
    stack = new_stack()
    vpc = brought_along.vpc(stack)
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    made = service(
        stack,
        vpc=vpc,
        encryption_key=key,
        existing_cluster=brought_along.cluster(stack, vpc),
        database=brought_along.database(stack, key),
        live_credentials=True,
        token_secret=brought_along.secret(stack, "tokens", key),
        collector_image=COLLECTOR,
        collector_repository=ecr.Repository.from_repository_name(stack, "Mirror", "collector"),
        cpu_architecture=ecs.CpuArchitecture.X86_64,
        assign_public_ip=True,
    )
    assert made.cluster.cluster_name == "shared"
    return stack


@pytest.fixture(scope="module")
def whole(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production(new_stack))


def containers(template: Template) -> dict[str, dict[str, Any]]:
    (task,) = template.find_resources("AWS::ECS::TaskDefinition").values()
    return {each["Name"]: each for each in task["Properties"]["ContainerDefinitions"]}


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in container["Environment"]}


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    (policy,) = (
        found["Properties"]["PolicyDocument"]["Statement"]
        for name, found in template.find_resources("AWS::IAM::Policy").items()
        if name.startswith(role)
    )
    return list(policy)


def test_the_plain_form_is_as_reviewed(plain: Template, snapshot: Snapshot) -> None:
    snapshot(plain, "service")


def test_no_pack_finds_anything_unanswered(new_stack: Stacks) -> None:
    assert findings(production(new_stack)) == []


def test_a_task_is_arm64_unless_another_architecture_is_asked_for(
    plain: Template, whole: Template
) -> None:
    for template, architecture in ((plain, "ARM64"), (whole, "X86_64")):
        (task,) = template.find_resources("AWS::ECS::TaskDefinition").values()
        assert task["Properties"]["RuntimePlatform"]["CpuArchitecture"] == architecture


def test_live_credentials_are_an_address_and_nothing_is_injected(whole: Template) -> None:
    told = variables(containers(whole)["service"])
    assert "Secrets" not in containers(whole)["service"]
    assert told["DATABASE_SECRET"].endswith(":secret:database-AbCdEf")
    assert not {"DATABASE_USER", "DATABASE_PASSWORD", "BEARER_TOKENS"} & set(told)


def test_the_service_reads_its_tokens_where_it_is_told(whole: Template) -> None:
    told = variables(containers(whole)["service"])
    assert live_tokens.from_environ({"BEARER_TOKENS_SECRET": told["BEARER_TOKENS_SECRET"]})


def test_a_task_may_read_its_two_secrets_and_decrypt_them_and_no_others(whole: Template) -> None:
    found = statements(whole, "ServiceTaskRole")
    reads = [each for each in found if each["Action"] == "secretsmanager:GetSecretValue"]
    resources = [each["Resource"] for each in reads]
    flat = [one for each in resources for one in (each if isinstance(each, list) else [each])]
    assert len(flat) == 2
    assert not any(one == "*" for one in flat)
    for each in (each for each in found if each["Action"] == "kms:Decrypt"):
        assert each["Condition"]["StringEquals"] == {
            "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"
        }
        assert "kms:EncryptionContext:SecretARN" in each["Condition"]["StringLike"]


def test_ecs_may_not_read_what_the_task_reads_itself(whole: Template) -> None:
    actions = json.dumps(statements(whole, "ServiceExecutionRole"))
    assert "secretsmanager:GetSecretValue" not in actions


def test_the_collector_can_fall_over_without_the_service(whole: Template) -> None:
    collector = containers(whole)["collector"]
    assert collector["Essential"] is False
    assert collector["ReadonlyRootFilesystem"] is True
    assert collector["Memory"] == 256
    assert collector["Image"] == COLLECTOR
    assert "DependsOn" not in containers(whole)["service"]


def test_the_service_sends_its_spans_where_the_collector_listens(whole: Template) -> None:
    endpoint = variables(containers(whole)["service"])["OTEL_EXPORTER_OTLP_ENDPOINT"]
    told = telemetry.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert told.otlp is not None
    assert told.otlp.url == "http://localhost:4318/v1/traces"
    content = json.loads(variables(containers(whole)["collector"])["AOT_CONFIG_CONTENT"])
    listens = content["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert listens == "127.0.0.1:4318"
    pipeline = content["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(content[kind])


def test_sending_to_x_ray_is_all_that_has_no_resource(whole: Template) -> None:
    (free,) = (each for each in statements(whole, "ServiceTaskRole") if each["Resource"] == "*")
    assert set(free["Action"]) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_without_a_collector_there_are_no_traces(plain: Template) -> None:
    assert list(containers(plain)) == ["service"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in variables(containers(plain)["service"])


def test_a_cluster_a_key_and_a_public_address_are_as_asked(whole: Template) -> None:
    whole.resource_count_is("AWS::ECS::Cluster", 0)
    (found,) = whole.find_resources("AWS::ECS::Service").values()
    network = found["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "ENABLED"
    (log,) = (
        each["Properties"]
        for name, each in whole.find_resources("AWS::Logs::LogGroup").items()
        if name.startswith("Service")
    )
    assert "KmsKeyId" in log


def test_an_injected_secret_may_be_another_than_the_databases(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    mine = brought_along.secret(stack, "mine")
    service(stack, database=brought_along.database(stack), database_secret=mine)
    injected = containers(synthesized(stack))["service"]["Secrets"]
    assert all(":secret:mine-AbCdEf:" in str(each["ValueFrom"]) for each in injected)


@pytest.mark.parametrize(
    ("image", "fixed"),
    [
        (COLLECTOR, True),
        ("registry.example:5000/collector", False),
        ("registry.example:5000/collector:1.0", True),
        ("collector:latest", False),
        (f"collector@sha256:{'0' * 64}", True),
    ],
)
def test_an_image_is_pinned_by_a_version_or_a_digest(image: str, fixed: bool) -> None:
    assert pinned(image) is fixed


def test_parts_that_do_not_fit_are_refused_together(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        service(new_stack(), live_credentials=True, collector_image="collector", memory_mib=511)
    assert len(caught.value.mistakes) == 3
