"""The roles of a service, each with what its job needs and no more."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from llmops_constructs._findings import acknowledge_wildcard, objects_finding
from llmops_constructs.keys import allow_key
from llmops_constructs.rollout import LambdaHook
from llmops_constructs.routing import Routing

READ_ELB = [
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
]
"""These and the three below are what AmazonECSInfrastructureRolePolicyForLoadBalancers allows
for rules of an Application Load Balancer; there for all of an account, here for one service."""


def task_role(scope: Construct, id: str, description: str) -> iam.Role:
    """A role that tasks of this account, and nobody else's, get. It may do nothing yet."""
    stack = cdk.Stack.of(scope)
    own = {
        "StringEquals": {"aws:SourceAccount": stack.account},
        "ArnLike": {"aws:SourceArn": stack.format_arn(service="ecs", resource="*")},
    }
    return iam.Role(
        scope,
        id,
        description=description,
        assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com", conditions=own),
    )


def allow_objects(role: iam.Role, bucket: s3.IBucket, keys: str) -> None:
    """Lets a role read the objects of a bucket whose keys match, e.g. `corpus/*`."""
    role.add_to_policy(
        iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects(keys)])
    )
    acknowledge_wildcard(role, objects_finding(role, bucket, keys), "Objects of releases to come.")


def policy_of(role: iam.Role) -> IDependable:
    """What a role may do, as a resource that others can wait for; the role itself comes first."""
    return role.node.find_child("DefaultPolicy")


def execution_role(
    scope: Construct, *repositories: ecr.IRepository | None, encryption_key: kms.IKey | None
) -> iam.Role:
    """Pulls the images, decrypts secrets; the log group and the secrets add their own grants."""
    role = task_role(scope, "ExecutionRole", "Pulls the image, reads the secrets, opens the log")
    known = [repository for repository in repositories if repository]
    for repository in known:
        repository.grant_pull(role)
    if known:
        acknowledge_wildcard(role, "*", "ecr:GetAuthorizationToken knows no resources.")
    allow_key(role, encryption_key, "secretsmanager")
    return role


def infrastructure_role(scope: Construct, routing: Routing) -> iam.Role:
    """Lets ECS register tasks with the two target groups and move the weights of the two rules."""
    role = iam.Role(
        scope,
        "InfrastructureRole",
        description="ECS moves traffic between the two revisions",
        assumed_by=iam.ServicePrincipal("ecs.amazonaws.com"),
    )
    groups = [arn for arn in (routing.target_group_arn, routing.alternate_target_group_arn) if arn]
    for actions, resources in (
        (READ_ELB, ["*"]),
        (
            [
                "elasticloadbalancing:RegisterTargets",
                "elasticloadbalancing:DeregisterTargets",
            ],
            groups,
        ),
        (
            ["elasticloadbalancing:ModifyRule"],
            [routing.production_rule_arn, routing.test_rule_arn],
        ),
    ):
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
    acknowledge_wildcard(role, "*", "The Describe calls of Elastic Load Balancing know none.")
    return role


def hook_role(scope: Construct, hook: LambdaHook) -> iam.Role:
    """Lets ECS call the function of the hook."""
    role = iam.Role(
        scope,
        "HookRole",
        description="ECS asks the gate",
        assumed_by=iam.ServicePrincipal("ecs.amazonaws.com"),
    )
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["lambda:InvokeFunction"], resources=[hook.function.function_arn]
        )
    )
    return role
