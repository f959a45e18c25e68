"""The ECS adapter speaks AWS's own shapes: botocore checks every request and every answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.stub import ANY, Stubber
from botocore.validate import ParamValidator

from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.aws.ecs import EcsDeployments, deployment_from
from llmops_runbooks.candidate import clone
from llmops_runbooks.errors import CloudError, ExitCode, UsageError
from llmops_runbooks.release import release
from llmops_runbooks.settings import Environment

ARN = "arn:aws:ecs:us-east-1:123456789012:service-deployment/handbook-local/handbook-local/abc"
REVISION = "arn:aws:ecs:us-east-1:123456789012:service-revision/handbook-local/handbook-local/2"
DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/handbook-local:2"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
ECS = botocore.session.get_session().get_service_model("ecs")


def complaints(operation: str, parameters: dict[str, Any]) -> str:
    """What botocore finds wrong with a request, or "". Its own check before it sends anything."""
    shape = ECS.operation_model(operation).input_shape
    unknown = sorted(set(parameters) - set(shape.members))
    found: str = ParamValidator().validate(parameters, shape).generate_report()
    return found + ", ".join(unknown)


@pytest.fixture
def local() -> Environment:
    return Environment(
        name="local",
        account="123456789012",
        endpoint_url="http://127.0.0.1:9",
        access_key_id="local",
        secret_access_key="local",
    )


@pytest.fixture
def clients(local: Environment) -> Clients:
    return Clients(local)


@pytest.fixture
def stub(clients: Clients) -> Iterator[Stubber]:
    with Stubber(clients.client("ecs")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def ecs(clients: Clients) -> EcsDeployments:
    return EcsDeployments(clients, cluster="handbook-local", service="handbook-local")


@pytest.mark.parametrize("version", ["1.1.0", "1.2.0"])
def test_what_a_release_sends_is_what_ecs_accepts(desk: Any, manual: Any, version: str) -> None:
    desk.memory.gate.words = ("promote",)
    release(desk.job(version, settings=manual, hold=False))
    arn, configuration = desk.memory.ecs.updates[-1]
    sent = {"cluster": "c", "service": "s", "taskDefinition": arn}
    assert complaints("UpdateService", {**sent, "deploymentConfiguration": configuration}) == ""


def test_a_clone_of_a_described_task_definition_has_only_what_register_accepts(desk: Any) -> None:
    described = {
        "taskDefinitionArn": DEFINITION,
        "family": "handbook-local",
        "revision": 2,
        "status": "ACTIVE",
        "requiresAttributes": [{"name": "ecs.capability.execution-role-awslogs"}],
        "compatibilities": ["EC2", "FARGATE"],
        "requiresCompatibilities": ["FARGATE"],
        "registeredAt": NOW,
        "registeredBy": "arn:aws:iam::123456789012:role/cloudformation",
        "volumes": [],
        "placementConstraints": [],
        "runtimePlatform": {"cpuArchitecture": "X86_64"},
        "tags": [{"key": "team", "value": "search"}],
        "containerDefinitions": [
            {"name": "service", "image": "x", "cpu": 0, "environment": [], "mountPoints": []},
            {"name": "sidecar", "image": "y"},
        ],
    }
    manifest = desk.memory.artifacts
    first = next(key for key in manifest.keys("releases/"))
    from llmops_runbooks.manifest import Release

    parameters = clone(
        desk.memory.cloud, described, Release.model_validate_json(manifest.objects[first])
    )
    assert complaints("RegisterTaskDefinition", parameters) == ""
    assert parameters["tags"] == described["tags"]
    assert parameters["containerDefinitions"][1] == {"name": "sidecar", "image": "y"}


def test_update_sends_neither_load_balancers_nor_a_desired_count(
    ecs: EcsDeployments, stub: Stubber
) -> None:
    stub.add_response(
        "update_service",
        {"service": {}},
        {
            "cluster": "handbook-local",
            "service": "handbook-local",
            "taskDefinition": DEFINITION,
            "deploymentConfiguration": {"strategy": "CANARY"},
        },
    )
    ecs.update(DEFINITION, {"strategy": "CANARY"})


def test_resume_names_the_deployment_and_the_hook(ecs: EcsDeployments, stub: Stubber) -> None:
    asked = {"serviceDeploymentArn": ARN, "hookId": "ecs-pause-x", "action": "CONTINUE"}
    stub.add_response("continue_service_deployment", {"serviceDeploymentArn": ARN}, asked)
    assert ecs.resume(ARN, "ecs-pause-x", "CONTINUE")


def test_a_hook_that_waits_no_longer_is_false_and_not_an_error(
    ecs: EcsDeployments, stub: Stubber
) -> None:
    stub.add_client_error("continue_service_deployment", "InvalidParameterException", "completed")
    assert not ecs.resume(ARN, "ecs-pause-x", "CONTINUE")


def test_stop_asks_for_a_rollback(ecs: EcsDeployments, stub: Stubber) -> None:
    asked = {"serviceDeploymentArn": ARN, "stopType": "ROLLBACK"}
    stub.add_response("stop_service_deployment", {"serviceDeploymentArn": ARN}, asked)
    assert ecs.stop(ARN)


def test_stopping_what_has_ended_is_false_and_not_an_error(
    ecs: EcsDeployments, stub: Stubber
) -> None:
    stub.add_client_error("stop_service_deployment", "ConflictException", "terminal")
    assert not ecs.stop(ARN)


def test_deployments_are_listed_after_a_time_and_described_newest_first(
    ecs: EcsDeployments, stub: Stubber
) -> None:
    older = ARN.replace("abc", "old")
    stub.add_response(
        "list_service_deployments",
        {"serviceDeployments": [{"serviceDeploymentArn": older}, {"serviceDeploymentArn": ARN}]},
        {
            "cluster": "handbook-local",
            "service": "handbook-local",
            "maxResults": 20,
            "createdAt": {"after": NOW},
        },
    )
    stub.add_response(
        "describe_service_deployments",
        {
            "serviceDeployments": [
                {"serviceDeploymentArn": older, "status": "SUCCESSFUL", "createdAt": NOW},
                {
                    "serviceDeploymentArn": ARN,
                    "status": "IN_PROGRESS",
                    "createdAt": NOW.replace(hour=13),
                },
            ]
        },
        {"serviceDeploymentArns": [older, ARN]},
    )
    assert [each.id for each in ecs.deployments(after=NOW)] == ["abc", "old"]


def test_no_deployments_asks_for_no_description(ecs: EcsDeployments, stub: Stubber) -> None:
    stub.add_response("list_service_deployments", {"serviceDeployments": []}, ANY_QUERY)
    assert ecs.deployments() == []


ANY_QUERY = {"cluster": ANY, "service": ANY, "maxResults": ANY}


def test_a_paused_deployment_is_read_with_its_hook_its_weights_and_its_arms() -> None:
    found = deployment_from(
        {
            "serviceDeploymentArn": ARN,
            "status": "IN_PROGRESS",
            "sourceServiceRevisions": [
                {"arn": "old", "requestedProductionTrafficWeight": 90.0, "runningTaskCount": 2}
            ],
            "targetServiceRevision": {
                "arn": REVISION,
                "requestedProductionTrafficWeight": 10.0,
                "requestedTaskCount": 2,
            },
            "lifecycleHookDetails": [
                {"hookId": "ecs-pause-1", "targetType": "PAUSE", "status": "AWAITING_ACTION"},
                {"hookId": "ecs-aws_lambda-1", "targetType": "AWS_LAMBDA", "status": "IN_PROGRESS"},
            ],
        }
    )
    assert [hook.hook_id for hook in found.pauses] == ["ecs-pause-1"]
    assert (found.target.weight, found.source and found.source.weight) == (10.0, 90.0)
    assert (found.id, found.under_way, found.stage) == ("abc", True, "")


def test_a_service_that_was_deleted_is_none(ecs: EcsDeployments, stub: Stubber) -> None:
    stub.add_response(
        "describe_services", {"services": [{"status": "INACTIVE", "taskDefinition": DEFINITION}]}
    )
    assert ecs.service() is None


def test_a_revision_is_asked_for_once(ecs: EcsDeployments, stub: Stubber) -> None:
    stub.add_response(
        "describe_service_revisions",
        {"serviceRevisions": [{"taskDefinition": DEFINITION}]},
        {"serviceRevisionArns": [REVISION]},
    )
    assert ecs.task_definition_of(REVISION) == ecs.task_definition_of(REVISION) == DEFINITION


def test_a_refusal_is_one_sentence_with_awss_own_words_and_exit_code_4(
    ecs: EcsDeployments, stub: Stubber
) -> None:
    stub.add_client_error("update_service", "AccessDeniedException", "You may not pass the role.")
    with pytest.raises(Refused) as error:
        ecs.update(DEFINITION, {})
    assert error.value.message == (
        "AWS refused ecs:update_service: You may not pass the role (AccessDeniedException)."
    )
    assert error.value.exit_code is ExitCode.CLOUD


def test_an_endpoint_nobody_listens_on_is_one_sentence_with_what_to_check(
    clients: Clients,
) -> None:
    with pytest.raises(
        CloudError, match=r"AWS cannot be reached at http://127\.0\.0\.1:9"
    ) as error:
        clients.call("sts", "get_caller_identity")
    assert "endpoint_url" in error.value.hint and "llmops up" in error.value.hint


def test_missing_credentials_are_a_usage_error(
    local: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    bare = local.model_copy(update={"access_key_id": None, "secret_access_key": None})
    with pytest.raises(UsageError, match="no AWS credentials for environment local"):
        Clients(bare).call("sts", "get_caller_identity")


def test_a_profile_that_does_not_exist_is_a_usage_error(local: Environment) -> None:
    with pytest.raises(UsageError, match="The AWS profile 'nope'"):
        Clients(local.model_copy(update={"profile": "nope"}))
