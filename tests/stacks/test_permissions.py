"""Every permission the stacks give, and why the wide ones are as wide as they are."""

from collections.abc import Iterator
from typing import Any

WITHOUT_RESOURCES = {
    "cloudwatch:GetMetricData": "knows no resources; reads",
    "cloudwatch:ListMetrics": "knows no resources; reads",
    "ec2:DescribeNetworkInterfaces": "knows no resources; reads",
    "ec2:DescribeSubnets": "knows no resources; reads",
    "ecr:GetAuthorizationToken": "knows no resources; reads",
    "ecs:DescribeTaskDefinition": "knows no resources; reads",
    "elasticloadbalancing:DescribeListeners": "knows no resources; reads",
    "elasticloadbalancing:DescribeRules": "knows no resources; reads",
    "elasticloadbalancing:DescribeTargetGroups": "knows no resources; reads",
    "elasticloadbalancing:DescribeTargetHealth": "knows no resources; reads",
}
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


def test_no_role_may_do_anything_it_likes(local: Any) -> None:
    assert [action for _, action, _ in allowed(local) if "*" in action] == []


def test_only_actions_that_know_no_resources_apply_to_all(local: Any) -> None:
    wide = {action for _, action, resource in allowed(local) if resource == "*"}
    assert wide == set(WITHOUT_RESOURCES)


def test_no_role_has_a_managed_policy(local: Any) -> None:
    roles = local.resources("AWS::IAM::Role").values()
    assert ["ManagedPolicyArns" in role["Properties"] for role in roles] == [False] * len(roles)


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
    (function,) = local.resources("AWS::Lambda::Function").values()
    (arn,) = denied["Condition"]["ArnEquals"].values()
    assert arn.endswith(f":function:{function['Properties']['FunctionName']}")


def test_a_task_reads_its_corpus_and_its_bundle_and_nothing_else(local: Any) -> None:
    lines = [line for line in allowed(local) if line[0].startswith("service/ServiceTaskRole")]
    assert {line[1] for line in lines} == {"s3:GetObject"}
    assert {line[2]["Fn::Join"][1][-1] for line in lines} == {"/corpus/*", "/bundles/*"}


def test_secrets_are_read_by_the_role_that_starts_tasks_and_the_token_by_the_gate(
    local: Any,
) -> None:
    readers: dict[str, set[str]] = {}
    for name, action, resource in allowed(local):
        if action == "secretsmanager:GetSecretValue":
            readers.setdefault(name.partition("Role")[0], set()).add(str(resource))
    assert set(readers) == {"service/ServiceExecution", "service/Gate"}
    (token,) = readers["service/Gate"]
    assert "SecretsTokens" in token
    assert token in readers["service/ServiceExecution"]
