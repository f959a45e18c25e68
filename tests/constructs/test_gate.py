from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks

from llmops_constructs import ArtifactStore, ExplicitStack, GateFunction, new_app


def gate(stack: ExplicitStack) -> GateFunction:
    return GateFunction(
        stack,
        "Gate",
        prefix="handbook-test",
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
        handler="index.handler",
        cluster_name="handbook-test",
        service_name="handbook",
        environment="test",
        metric_namespace="llmops",
        artifact_bucket=ArtifactStore(stack, "Artifacts").bucket,
    )


@pytest.fixture(scope="module")
def template(
    new_stack: Callable[..., ExplicitStack], synthesized: Callable[[ExplicitStack], Template]
) -> Template:
    stack = new_stack()
    gate(stack)
    return synthesized(stack)


def actions(template: Template) -> dict[str, Any]:
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    return {
        action: statement["Resource"]
        for statement in statements
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }


def test_it_can_neither_start_nor_stop_a_deployment(template: Template) -> None:
    ecs = {action for action in actions(template) if action.startswith("ecs:")}
    assert all(action.startswith("ecs:Describe") for action in ecs)


def test_it_sees_the_rollouts_of_one_service_only(template: Template) -> None:
    assert actions(template)["ecs:DescribeServiceDeployments"] == (
        "arn:aws:ecs:us-east-1:123456789012:service-deployment/handbook-test/handbook/*"
    )


def test_its_findings_are_answered_beside_its_bucket_too(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    stack = ExplicitStack(
        app, "one", account="123456789012", region="us-east-1", availability_zones=()
    )
    gate(stack)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    assert (tmp_path / "one.template.json").exists()
