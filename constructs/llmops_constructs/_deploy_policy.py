"""What a deploy role may do: the API calls of `llmops deploy`, `release`, `promote`, `rollback`.

Each action with the narrowest resource that its service knows, by the Service Authorization
Reference: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from llmops_constructs._findings import acknowledge_wildcard

Condition = dict[str, dict[str, str | list[str]]]


@dataclass(frozen=True)
class Environment:
    """One environment of one service, by the names of its resources."""

    prefix: str
    service_name: str
    name: str
    qualifier: str


WITHOUT_RESOURCES = (
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "elasticloadbalancing:DescribeRules",
)
STACKS = (
    "cloudformation:CreateChangeSet",
    "cloudformation:DeleteChangeSet",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet",
    "cloudformation:DescribeStackEvents",
    "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet",
    "cloudformation:GetTemplate",
)
SERVICE = ("ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:UpdateService")
DEPLOYMENTS = (
    "ecs:ContinueServiceDeployment",
    "ecs:DescribeServiceDeployments",
    "ecs:StopServiceDeployment",
)
IMAGES = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
KEY = ("kms:Decrypt", "kms:GenerateDataKey")


def statements(scope: Construct, where: Environment) -> Iterator[iam.PolicyStatement]:
    """The statements of the role."""
    arns = _Arns(cdk.Stack.of(scope), where)
    yield _allow(STACKS, arns.stacks)
    yield _allow(SERVICE, arns.service)
    yield _allow(DEPLOYMENTS, arns.deployments, arns.service)
    yield _allow(("ecs:DescribeServiceRevisions",), arns.revisions, arns.service)
    yield _allow(("ecs:RegisterTaskDefinition",), arns.task_definitions)
    yield _allow(
        ("ecs:TagResource",),
        arns.task_definitions,
        when={"StringEquals": {"ecs:CreateAction": "RegisterTaskDefinition"}},
    )
    yield _allow(("ecs:DescribeTasks",), arns.tasks)
    yield _allow(("ecs:ListTasks",), "*", when={"ArnEquals": {"ecs:cluster": arns.cluster}})
    yield _allow(IMAGES, arns.repository)
    yield _allow(("s3:GetObject", "s3:PutObject"), arns.assets + "/*", arns.artifacts + "/*")
    yield _allow(("s3:ListBucket",), arns.assets, arns.artifacts)
    yield _allow(("ssm:GetParameter",), arns.coordinates)
    yield _allow(
        KEY, arns.keys, when={"ForAnyValue:StringEquals": {"kms:ResourceAliases": arns.alias}}
    )
    yield _allow(("iam:PassRole",), arns.execution_role, when=_passed_to("cloudformation"))
    yield _allow(("iam:PassRole",), arns.roles, when=_passed_to("ecs", "ecs-tasks"))
    yield _allow(WITHOUT_RESOURCES, "*")


def acknowledge_width(role: iam.Role, scope: Construct, where: Environment) -> None:
    """Says of each resource that ends with `*` why it does."""
    arns = _Arns(cdk.Stack.of(scope), where)
    acknowledge_wildcard(
        role,
        "*",
        f"{', '.join(WITHOUT_RESOURCES)}: metrics, rules and task definitions that are read or "
        "deregistered have no ARN here, composite alarms are shown to whoever may see all alarms; "
        "ecs:ListTasks knows the cluster by a condition only.",
    )
    later = "Its name begins with the environment's; what follows is made by AWS later."
    for arn in (
        arns.stacks,
        arns.deployments,
        arns.revisions,
        arns.task_definitions,
        arns.tasks,
        arns.assets + "/*",
        arns.artifacts,
        arns.artifacts + "/*",
        arns.roles,
    ):
        acknowledge_wildcard(role, arn, later)
    acknowledge_wildcard(role, arns.keys, "The key with the environment's alias, by a condition.")


class _Arns:
    """The ARNs of what belongs to an environment."""

    def __init__(self, stack: cdk.Stack, where: Environment) -> None:
        self._stack = stack
        tail = f"{stack.account}-{stack.region}"
        cluster, service = where.prefix, f"{where.prefix}/{where.service_name}"
        self.cluster = self._arn("ecs", "cluster", cluster)
        self.service = self._arn("ecs", "service", service)
        self.deployments = self._arn("ecs", "service-deployment", f"{service}/*")
        self.revisions = self._arn("ecs", "service-revision", f"{service}/*")
        self.tasks = self._arn("ecs", "task", f"{cluster}/*")
        self.task_definitions = self._arn("ecs", "task-definition", f"{where.prefix}:*")
        self.stacks = self._arn("cloudformation", "stack", f"{where.prefix}-*/*")
        self.repository = self._arn("ecr", "repository", where.prefix)
        self.coordinates = self._arn(
            "ssm", "parameter", f"llmops/{where.service_name}/{where.name}/coordinates"
        )
        self.keys = self._arn("kms", "key", "*")
        self.alias = f"alias/{where.prefix}"
        self.assets = f"arn:{stack.partition}:s3:::cdk-{where.qualifier}-assets-{tail}"
        self.artifacts = f"arn:{stack.partition}:s3:::{where.prefix}-data-*"
        roles = f"arn:{stack.partition}:iam::{stack.account}:role/"
        self.execution_role = f"{roles}cdk-{where.qualifier}-cfn-exec-role-{tail}"
        self.roles = f"{roles}{where.prefix}-*"

    def _arn(self, service: str, resource: str, name: str) -> str:
        return self._stack.format_arn(service=service, resource=resource, resource_name=name)


def _allow(
    actions: tuple[str, ...], *resources: str, when: Condition | None = None
) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=when)


def _passed_to(*services: str) -> Condition:
    return {
        "StringEquals": {
            "iam:PassedToService": [f"{service}.amazonaws.com" for service in services]
        }
    }
