"""A pipeline of AWS's own: tests, deployments in order, a person's approval between them."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from policies import findings
from templates import Alone

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.notifications import AlarmTopics
from llmops_constructs.pipeline import DeployPipeline, DeployTarget

import aws_cdk as cdk  # isort: skip
from aws_cdk.assertions import Match, Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/1"
STAGING = DeployTarget(environment="staging", prefix="answers-staging", service_name="answers")
PROD = DeployTarget(
    environment="prod", prefix="answers-prod", service_name="answers", approval=True
)


def small(stack: ExplicitStack, **arguments: Any) -> DeployPipeline:
    defaults: dict[str, Any] = {
        "prefix": "answers",
        "repository": "example/answers",
        "connection_arn": CONNECTION,
        "targets": [PROD],
    }
    return DeployPipeline(stack, "Pipeline", **(defaults | arguments))


def whole(stack: ExplicitStack) -> DeployPipeline:
    key = EncryptionKey(stack, "Key", alias="answers").key
    topics = AlarmTopics(
        stack, "Topics", prefix="answers", emails=["a@example.com"], encryption_key=key
    )
    logs = AccessLogs(stack, "Logs").bucket
    return small(
        stack,
        targets=[STAGING, PROD],
        encryption_key=key,
        topics=topics,
        access_log_bucket=logs,
    )


@pytest.fixture(scope="module")
def template(alone: Alone) -> Template:
    return alone(whole)


def properties(template: Template, kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template.find_resources(kind).values()]


def stages(template: Template) -> dict[str, dict[str, Any]]:
    """The one action of each stage, in order."""
    (pipeline,) = properties(template, "AWS::CodePipeline::Pipeline")
    return {each["Name"]: each["Actions"][0] for each in pipeline["Stages"]}


def allowed(template: Template) -> list[tuple[str, Any]]:
    """Action and resource of each permission of the stack."""
    found = []
    for policy in properties(template, "AWS::IAM::Policy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                found.append((action, statement["Resource"]))
    return found


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    small(stack)
    snapshot(synthesized(stack), "pipeline")


def test_a_commit_is_tested_deployed_approved_and_deployed(template: Template) -> None:
    assert list(stages(template)) == [
        "Source",
        "Test",
        "Deploy-staging",
        "Approve-prod",
        "Deploy-prod",
    ]
    assert stages(template)["Source"]["Configuration"]["ConnectionArn"] == CONNECTION


def test_a_ticket_says_that_a_person_is_waited_for(template: Template) -> None:
    configuration = stages(template)["Approve-prod"]["Configuration"]
    assert configuration["NotificationArn"]["Ref"].startswith("TopicsWarning")
    assert "#{SourceVariables.CommitId} to prod?" in configuration["CustomData"]


def test_each_environment_is_deployed_by_a_role_of_its_own(template: Template) -> None:
    roles = template.find_resources(
        "AWS::IAM::Role", {"Properties": {"RoleName": Match.any_value()}}
    )
    names = {each["Properties"]["RoleName"]: logical_id for logical_id, each in roles.items()}
    projects = properties(template, "AWS::CodeBuild::Project")
    users = {each["Name"]: each["ServiceRole"]["Fn::GetAtt"][0] for each in projects}
    assert users["answers-deploy-staging"] == names["answers-staging-pipeline-deploy"]
    assert users["answers-deploy-prod"] == names["answers-prod-pipeline-deploy"]


def test_tests_run_without_permission_to_deploy(template: Template) -> None:
    (test,) = template.find_resources(
        "AWS::IAM::Policy",
        {"Properties": {"PolicyName": Match.string_like_regexp("PipelineTestRole")}},
    ).values()
    actions = {
        action
        for statement in test["Properties"]["PolicyDocument"]["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }
    assert {action.partition(":")[0] for action in actions} == {"logs", "s3", "kms"}
    assert "s3:PutObject" not in actions


def test_builds_are_small_arm_machines_without_privileges_or_secrets(template: Template) -> None:
    for project in properties(template, "AWS::CodeBuild::Project"):
        environment = project["Environment"]
        assert environment["Type"] == "ARM_CONTAINER"
        assert environment["PrivilegedMode"] is False
        assert "EncryptionKey" in project
        variables = environment.get("EnvironmentVariables", [])
        assert {each["Name"] for each in variables} <= {"LLMOPS_ENV"}


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_deployment_ends_as_its_release_does(
    template: Template, tmp_path: Path, code: int
) -> None:
    specs = {
        each["Name"]: json.loads(each["Source"]["BuildSpec"])
        for each in properties(template, "AWS::CodeBuild::Project")
    }
    (script,) = specs["answers-deploy-prod"]["phases"]["build"]["commands"]
    for version in ("1.9.0", "1.10.0"):
        (tmp_path / "releases" / version).mkdir(parents=True)
    tool = tmp_path / "uv"
    tool.write_text(f'#!/usr/bin/env bash\necho "$@"\ntest "$3" != release || exit {code}\n')
    tool.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "LLMOPS_ENV": "prod"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout.splitlines()
    assert done.returncode == code
    assert said[:2] == [
        "run llmops deploy --env prod --yes",
        "run llmops release 1.10.0 --env prod",
    ]
    assert ("waits for a person" in done.stdout) == (code == 3)


def test_artifacts_and_logs_are_encrypted_with_the_key(template: Template) -> None:
    (pipeline,) = properties(template, "AWS::CodePipeline::Pipeline")
    assert pipeline["ArtifactStore"]["EncryptionKey"]["Type"] == "KMS"
    groups = properties(template, "AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert all("KmsKeyId" in group for group in groups)


def test_no_permission_names_actions_by_a_star(template: Template) -> None:
    assert [action for action, _ in allowed(template) if "*" in action] == []


def test_a_role_is_for_its_own_build_and_for_this_accounts_pipelines(template: Template) -> None:
    sources = []
    for role in properties(template, "AWS::IAM::Role"):
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        condition = trust["Condition"]["StringEquals"]
        assert condition["aws:SourceAccount"] == "123456789012"
        sources.append(condition.get("aws:SourceArn", trust["Principal"]["Service"]))
    builds = "arn:aws:codebuild:us-east-1:123456789012:project/answers"
    assert sorted(sources) == [
        f"{builds}-deploy-prod",
        f"{builds}-deploy-staging",
        f"{builds}-test",
        "codepipeline.amazonaws.com",
    ]


def test_every_mistake_is_reported(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        small(
            new_stack(),
            repository="answers",
            connection_arn="arn:aws:iam::1:role/x",
            targets=[],
            deploy_timeout=cdk.Duration.minutes(1),
        )
    assert len(caught.value.mistakes) == 4
    with pytest.raises(InvalidConstruct, match="names an environment twice"):
        small(new_stack(), targets=[PROD, PROD])


def test_the_policy_packs_find_nothing(new_stack: Stacks) -> None:
    stack = new_stack()
    whole(stack)
    assert findings(stack) == []
