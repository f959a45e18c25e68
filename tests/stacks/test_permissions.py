"""Every permission the stacks give, and why the wide ones are as wide as they are."""

from collections.abc import Iterator
from typing import Any

WITHOUT_RESOURCES = {
    "cloudwatch:GetMetricData": "knows no resources; reads",
    "ecr:GetAuthorizationToken": "knows no resources; reads",
    "ecs:DescribeTaskDefinition": "knows no resources; reads",
    "elasticloadbalancing:DescribeListeners": "knows no resources; reads",
    "elasticloadbalancing:DescribeRules": "knows no resources; reads",
    "elasticloadbalancing:DescribeTargetGroups": "knows no resources; reads",
    "elasticloadbalancing:DescribeTargetHealth": "knows no resources; reads",
}
GATE = {
    "cloudwatch:GetMetricData",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeTaskDefinition",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(assembly: Any) -> Iterator[tuple[str, str, Any]]:
    """Policy, action, resource: one line each."""
    for name, policy in assembly.resources("AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield name, action, resource


def test_no_role_may_do_anything_it_likes(local: Any) -> None:
    assert [action for _, action, _ in allowed(local) if "*" in action] == []


def test_only_actions_that_know_no_resources_apply_to_all(local: Any) -> None:
    wide = {action for _, action, resource in allowed(local) if resource == "*"}
    assert wide == set(WITHOUT_RESOURCES)


def test_no_role_has_a_managed_policy(local: Any) -> None:
    roles = local.resources("AWS::IAM::Role").values()
    assert ["ManagedPolicyArns" in role["Properties"] for role in roles] == [False] * len(roles)


def test_the_gate_reads_rollouts_and_writes_its_record(local: Any) -> None:
    lines = [line for line in allowed(local) if line[0].startswith("service/GateRole")]
    assert {action for _, action, _ in lines} == GATE
    (written,) = (resource for _, action, resource in lines if action == "s3:PutObject")
    assert written["Fn::Join"][1][-1] == "/rollouts/*"


def test_a_task_reads_its_corpus_and_nothing_else(local: Any) -> None:
    lines = [line for line in allowed(local) if line[0].startswith("service/ServiceTaskRole")]
    (line,) = lines
    assert line[1] == "s3:GetObject"
    assert line[2]["Fn::Join"][1][-1] == "/corpus/*"


def test_secrets_are_read_by_the_role_that_starts_tasks_only(local: Any) -> None:
    readers = {
        name for name, action, _ in allowed(local) if action == "secretsmanager:GetSecretValue"
    }
    assert len(readers) == 1
    assert readers.pop().startswith("service/ServiceExecutionRole")
