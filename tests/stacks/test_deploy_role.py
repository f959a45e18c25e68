"""A deploy role may do what the runbooks call, as the Service Authorization Reference has it.

The calls come from the runbooks' own code: every module that one of the commands below can reach,
read as a syntax tree. Which action guards which operation, and which resources it knows, comes
from botocore's models and from the reference's data in cfn-lint.
"""

import ast
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import cfnlint  # type: ignore[import-untyped]
import pytest
from botocore import xform_name

from llmops_constructs import ExplicitStack, new_app
from llmops_constructs.delivery import DeployRole
from llmops_runbooks.coordinates import parameter_name

from aws_cdk import aws_iam as iam  # isort: skip
from aws_cdk.assertions import Template  # isort: skip

COMMANDS = ("deploy", "diff", "release", "promote", "rollback", "status", "history")
PREFIXES = {"elbv2": "elasticloadbalancing"}
"""Services whose actions do not begin with their name in boto3."""
NAMED_OTHERWISE = {
    "s3:HeadObject": {"s3:GetObject"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "sts:GetCallerIdentity": set(),  # needs no permission
}
NEEDED_AS_WELL = {
    "cloudformation:CreateChangeSet": {"iam:PassRole", "s3:GetObject"},  # RoleARN, TemplateURL
    "ecs:RegisterTaskDefinition": {"iam:PassRole", "ecs:TagResource"},  # its roles, its tags
    "ecs:UpdateService": {"iam:PassRole"},  # those of its hooks
    "s3:GetObject": {"kms:Decrypt"},
    "s3:PutObject": {"kms:Decrypt", "kms:GenerateDataKey"},
}
WITHOUT_ARN = {
    "cloudwatch:DescribeAlarms": "composite alarms are shown to whoever may see all alarms",
    "cloudwatch:GetMetricData": "metrics have no ARN",
    "ecs:DeregisterTaskDefinition": "knows no resources",
    "ecs:DescribeTaskDefinition": "knows no resources",
    "ecs:ListTasks": "knows instances, which Fargate has none of; the cluster is a condition",
    "elasticloadbalancing:DescribeRules": "knows no resources",
}


def source(module: str) -> Path | None:
    """The file of a module of the kit; None for names inside one, and for other people's."""
    if not module.startswith(("llmops_cli.", "llmops_runbooks.")):
        return None
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@cache
def reached() -> dict[str, ast.Module]:
    """The modules that the commands can reach, wherever they import them."""
    found: dict[str, ast.Module] = {}
    waiting = [f"llmops_cli.commands.{command}" for command in COMMANDS]
    while waiting:
        module = waiting.pop()
        path = source(module)
        if path and module not in found:
            found[module] = ast.parse(path.read_text())
            waiting += imported(found[module])
    return found


def text(node: ast.AST) -> str | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def called(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Service and operation of each call: `x.call(service, operation)`, and what wraps it."""
    calls = [
        (node.func, node.args)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    wrapped = {
        text(arguments[0])
        for function, arguments in calls
        if function.attr == "call" and len(arguments) == 2 and text(arguments[1]) is None
    }
    for function, arguments in calls:
        words = [text(argument) for argument in arguments[:2]]
        if function.attr == "call" and len(words) == 2 and words[0] and words[1]:
            yield words[0], words[1]
        elif function.attr == "_call" and words and words[0]:
            (service,) = wrapped
            assert service
            yield service, words[0]


def called_on_clients() -> Iterator[tuple[str, str]]:
    """`self._client.operation(...)`, in a module that is handed one ready client."""
    for module, tree in reached().items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "self._client"
            ):
                assert module == "llmops_runbooks.aws.metrics"
                yield "cloudwatch", node.func.attr


@cache
def operations() -> frozenset[str]:
    """`service:Operation` by AWS's names, of all calls."""
    session = botocore.session.get_session()
    calls = {pair for tree in reached().values() for pair in called(tree)}
    calls |= set(called_on_clients())
    found = set()
    for service, method in calls:
        names = session.get_service_model(service).operation_names
        (name,) = [each for each in names if xform_name(each) == method]
        found.add(f"{PREFIXES.get(service, service)}:{name}")
    return frozenset(found)


def needed() -> set[str]:
    """The IAM actions of all calls."""
    found: set[str] = set()
    for operation in operations():
        found |= NAMED_OTHERWISE.get(operation, {operation})
    for action in sorted(found):
        found |= NEEDED_AS_WELL.get(action, set())
    return found


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The role's permissions."""
    stack = ExplicitStack(
        new_app(str(tmp_path_factory.mktemp("role"))),
        "role",
        account="333333333333",
        region="us-east-1",
        availability_zones=(),
    )
    DeployRole(
        stack,
        "Deploy",
        prefix="handbook-prod",
        service_name="handbook",
        environment="prod",
        trusted=iam.ServicePrincipal("codebuild.amazonaws.com"),
    )
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def permissions(statements: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for statement in statements:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, resource


def may(statements: list[dict[str, Any]], action: str, resource: str) -> bool:
    return any(
        each == action and fnmatchcase(resource, pattern)
        for each, pattern in permissions(statements)
    )


@cache
def reference() -> dict[str, Any]:
    (file,) = Path(cfnlint.__file__).parent.rglob("Policies.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def known_resources(action: str) -> dict[str, list[str]]:
    """What the reference says an action applies to: each type's ARNs, as regular expressions."""
    service, _, name = action.partition(":")
    kinds = reference()[service]["Actions"][name.lower()].get("Resources", [])
    return {
        kind: [
            re.sub(r"\$\{\w+\}", "[^:]*", pattern)
            for pattern in reference()[service]["Resources"][kind]["ARNFormats"]
        ]
        for kind in kinds
    }


def test_the_calls_are_found_in_the_code() -> None:
    assert len(operations()) > 25
    assert {"ecs:UpdateService", "cloudformation:ExecuteChangeSet", "ecr:PutImage"} <= operations()


def test_every_call_is_allowed_and_nothing_more(statements: list[dict[str, Any]]) -> None:
    assert {action for action, _ in permissions(statements)} == needed()


def test_actions_apply_to_all_resources_only_where_they_know_none(
    statements: list[dict[str, Any]],
) -> None:
    wide = {action for action, resource in permissions(statements) if resource == "*"}
    assert wide == set(WITHOUT_ARN)
    known = {action for action in wide if known_resources(action)}
    assert {WITHOUT_ARN[action] for action in known}.isdisjoint({"knows no resources"})


def test_each_resource_is_one_that_its_action_knows(statements: list[dict[str, Any]]) -> None:
    wrong = [
        (action, resource)
        for action, resource in permissions(statements)
        if resource != "*"
        and not any(
            re.match(pattern, resource)
            for patterns in known_resources(action).values()
            for pattern in patterns
        )
    ]
    assert wrong == []


def test_no_action_is_named_by_a_star(statements: list[dict[str, Any]]) -> None:
    assert [action for action, _ in permissions(statements) if "*" in action] == []


ACCOUNT = "us-east-1:333333333333"
OWN = [
    (
        "cloudformation:ExecuteChangeSet",
        f"arn:aws:cloudformation:{ACCOUNT}:stack/handbook-prod-service/1",
    ),
    ("ecs:UpdateService", f"arn:aws:ecs:{ACCOUNT}:service/handbook-prod/handbook"),
    (
        "ecs:StopServiceDeployment",
        f"arn:aws:ecs:{ACCOUNT}:service-deployment/handbook-prod/handbook/1",
    ),
    ("ecs:RegisterTaskDefinition", f"arn:aws:ecs:{ACCOUNT}:task-definition/handbook-prod:7"),
    ("ecr:PutImage", f"arn:aws:ecr:{ACCOUNT}:repository/handbook-prod"),
    ("s3:PutObject", "arn:aws:s3:::cdk-hnb659fds-assets-333333333333-us-east-1/1.json"),
    ("ssm:GetParameter", f"arn:aws:ssm:{ACCOUNT}:parameter{parameter_name('handbook', 'prod')}"),
    ("iam:PassRole", "arn:aws:iam::333333333333:role/handbook-prod-service-ServiceTaskRole-1"),
    (
        "iam:PassRole",
        "arn:aws:iam::333333333333:role/cdk-hnb659fds-cfn-exec-role-333333333333-us-east-1",
    ),
]


@pytest.mark.parametrize(("action", "resource"), OWN)
def test_what_belongs_to_the_environment_is_in_reach_and_anothers_is_not(
    statements: list[dict[str, Any]], action: str, resource: str
) -> None:
    assert may(statements, action, resource)
    assert not may(
        statements, action, resource.replace("handbook", "other").replace("hnb659fds", "x")
    )


@pytest.fixture(scope="module")
def named(prod: Any) -> Callable[[str, str], set[str]]:
    """The names that resources of a type have in production's templates."""

    def find(kind: str, name: str) -> set[str]:
        found = prod.resources(kind).values()
        return {str(each["Properties"].get(name)) for each in found}

    return find


def test_the_names_are_those_of_the_templates(named: Callable[[str, str], set[str]]) -> None:
    assert "handbook-prod" in named("AWS::ECS::Cluster", "ClusterName")
    assert "handbook" in named("AWS::ECS::Service", "ServiceName")
    assert "handbook-prod" in named("AWS::ECS::TaskDefinition", "Family")
    assert "handbook-prod" in named("AWS::ECR::Repository", "RepositoryName")
    assert parameter_name("handbook", "prod") in named("AWS::SSM::Parameter", "Name")


def test_a_pass_of_a_role_names_the_service_that_gets_it(statements: list[dict[str, Any]]) -> None:
    passing = [each for each in statements if "iam:PassRole" in listed(each["Action"])]
    assert [each["Condition"]["StringEquals"]["iam:PassedToService"] for each in passing] == [
        ["cloudformation.amazonaws.com"],
        ["ecs.amazonaws.com", "ecs-tasks.amazonaws.com"],
    ]
