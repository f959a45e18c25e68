import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.resource_dashboard import ResourceDashboard

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]

ACCOUNT = "us-east-1:123456789012"


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    queue, dead = (
        sqs.Queue.from_queue_arn(stack, name, f"arn:aws:sqs:{ACCOUNT}:{name}")
        for name in ("jobs", "dead")
    )
    cluster = rds.DatabaseCluster.from_database_cluster_attributes(
        stack, "Cluster", cluster_identifier="handbook"
    )
    gate = lambda_.Function.from_function_name(stack, "Gate", "handbook-gate")
    ResourceDashboard(
        stack,
        "Resources",
        prefix="handbook-test",
        functions={"gate": gate},
        queue=queue,
        dead_letters=dead,
        database_cluster=cluster,
        cache_name="handbook",
    )
    return synthesized(stack)


@pytest.fixture(scope="module")
def widgets(template: Template) -> list[dict[str, Any]]:
    (page,) = template.find_resources("AWS::CloudWatch::Dashboard").values()
    assert page["Properties"]["DashboardName"] == "handbook-test-resources"
    body = page["Properties"]["DashboardBody"]
    text = body if isinstance(body, str) else "".join(map(str, body["Fn::Join"][1]))
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    return found


def test_what_is_given_is_shown(widgets: list[dict[str, Any]]) -> None:
    text = json.dumps(widgets)
    for namespace in ("AWS/Lambda", "AWS/SQS", "AWS/RDS", "AWS/ElastiCache"):
        assert namespace in text
    assert "AWS/DynamoDB" not in text


def test_no_widget_lies_on_another(widgets: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for each in widgets:
        columns = range(each["x"], each["x"] + each["width"])
        cells = set(itertools.product(columns, range(each["y"], each["y"] + each["height"])))
        assert not cells & taken
        assert max(columns) < 24
        taken |= cells


def test_it_makes_no_alarm(template: Template) -> None:
    template.resource_count_is("AWS::CloudWatch::Alarm", 0)


def test_contradictions_are_told_together(new_stack: Stacks) -> None:
    stack = new_stack()
    jobs = sqs.Queue.from_queue_arn(stack, "jobs", f"arn:aws:sqs:{ACCOUNT}:jobs")
    with pytest.raises(InvalidConstruct) as refused:
        ResourceDashboard(stack, "One", prefix="handbook-test", dead_letters=jobs)
    assert len(refused.value.mistakes) == 2
