"""Every permission the stacks give, and why the wide ones are as wide as they are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks import settings

ROOT = Path(__file__).parents[2]

READS = "knows no resources; reads"
WITHOUT_RESOURCES = {
    "cloudwatch:DescribeAlarmHistory": READS,
    "cloudwatch:DescribeAlarms": READS,
    "cloudwatch:DescribeAlarmsForMetric": READS,
    "cloudwatch:GetMetricData": READS,
    "cloudwatch:GetMetricStatistics": READS,
    "cloudwatch:GetMetricWidgetImage": READS,
    "cloudwatch:ListMetrics": READS,
    "ec2:DescribeNetworkInterfaces": READS,
    "ec2:DescribeSubnets": READS,
    "ecr:GetAuthorizationToken": READS,
    "ecs:DeregisterTaskDefinition": "knows no resources; a rejected release's is retired by it",
    "ecs:DescribeTaskDefinition": READS,
    "ecs:ListTasks": "knows no resources; its condition names the cluster; reads",
    "elasticloadbalancing:DescribeListeners": READS,
    "elasticloadbalancing:DescribeRules": READS,
    "elasticloadbalancing:DescribeTargetGroups": READS,
    "elasticloadbalancing:DescribeTargetHealth": READS,
    "events:ListRules": "AWS Backup looks for its own rules with it; reads",
    "s3:ListAllMyBuckets": "AWS Backup finds a bucket's region with it; reads",
    "tag:GetResources": "knows no resources; reads",
    "xray:PutTelemetryRecords": "knows no resources; a collector says how it fares",
    "xray:PutTraceSegments": "knows no resources; a collector sends traces",
}
"""The only actions that may be allowed for `*`, each with the reason."""
MANAGED_BY_AWS = {
    "CustomVpcRestrictDefaultSGCustomResourceProviderRole": "the CDK's own function writes its log",
}
"""The only roles with a policy of AWS's, by the beginning of their names."""
INTERFACES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
"""What Lambda needs of the role to put a function into the VPC."""
GATE = {
    *INTERFACES,
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeTaskDefinition",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "secretsmanager:GetSecretValue",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(assembly: Any, effect: str) -> Iterator[tuple[str, Any]]:
    for name, policy in assembly.resources("AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Effect"] == effect:
                yield name, statement


def allowed(assembly: Any) -> Iterator[tuple[str, str, Any]]:
    """Policy, action, resource: one line each."""
    for name, statement in statements(assembly, "Allow"):
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield name, action, resource


@pytest.fixture(params=settings.names(ROOT / "llmops.toml"))
def each(request: pytest.FixtureRequest, assembly: Callable[[str], Any]) -> Any:
    """The assembly of every environment."""
    return assembly(request.param)


def test_no_role_may_do_anything_it_likes(each: Any) -> None:
    assert [action for _, action, _ in allowed(each) if "*" in action] == []


def test_only_actions_that_know_no_resources_apply_to_all(each: Any) -> None:
    wide = {action for _, action, resource in allowed(each) if resource == "*"}
    assert wide - set(WITHOUT_RESOURCES) == set()


def test_no_reason_is_given_for_what_nobody_is_allowed(assembly: Callable[[str], Any]) -> None:
    names = settings.names(ROOT / "llmops.toml")
    wide = {
        action
        for name in names
        for _, action, resource in allowed(assembly(name))
        if resource == "*"
    }
    assert wide == set(WITHOUT_RESOURCES)


def test_no_role_has_a_managed_policy(each: Any) -> None:
    found = {
        name.partition("/")[2]
        for name, role in each.resources("AWS::IAM::Role").items()
        if "ManagedPolicyArns" in role["Properties"]
    }
    assert {name for name in found if not name.startswith(tuple(MANAGED_BY_AWS))} == set()


def objects(lines: list[tuple[str, str, Any]], action: str) -> set[str]:
    """Which of the bucket's objects the action is for."""
    return {resource["Fn::Join"][1][-1] for _, each, resource in lines if each == action}


def test_the_gate_reads_what_it_judges_by_and_writes_its_records_only(local: Any) -> None:
    lines = [line for line in allowed(local) if line[0].startswith("service/GateRole")]
    assert {action for _, action, _ in lines} == GATE
    assert objects(lines, "s3:GetObject") == {"/rollouts/*", "/releases/*", "/golden/*"}
    assert objects(lines, "s3:PutObject") == {"/rollouts/*", "/golden/results/*"}


def test_the_gates_code_itself_can_do_nothing_to_network_interfaces(local: Any) -> None:
    ((name, denied),) = statements(local, "Deny")
    assert name.startswith("service/GateRole")
    assert (set(denied["Action"]), denied["Resource"]) == (INTERFACES, "*")
    function = local.gate
    (arn,) = denied["Condition"]["ArnEquals"].values()
    assert arn.endswith(f":function:{function['Properties']['FunctionName']}")


def test_a_task_reads_its_corpus_its_bundle_and_its_secrets_and_nothing_else(local: Any) -> None:
    lines = [line for line in allowed(local) if line[0].startswith("service/ServiceTaskRole")]
    assert {line[1] for line in lines} == {"s3:GetObject", "secretsmanager:GetSecretValue"}
    assert objects(lines, "s3:GetObject") == {"/corpus/*", "/bundles/*"}


def test_secrets_are_read_by_the_tasks_and_the_token_by_the_gate(local: Any) -> None:
    readers: dict[str, set[str]] = {}
    for name, action, resource in allowed(local):
        if action == "secretsmanager:GetSecretValue":
            readers.setdefault(name.partition("Role")[0], set()).add(str(resource))
    assert set(readers) == {"service/ServiceTask", "service/Gate"}
    (token,) = readers["service/Gate"]
    assert "SecretsTokens" in token
    assert token in readers["service/ServiceTask"]
