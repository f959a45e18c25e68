"""What Lambda needs to put a function into a VPC: network interfaces, made with its role."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from llmops_constructs._findings import acknowledge_wildcard
from llmops_constructs.functions import CHANGING_INTERFACES, SEEING_INTERFACES

DESCRIBED = f"{', '.join(SEEING_INTERFACES)} know no resources; both only read."


def allow_interfaces(role: iam.Role, function_name: str) -> None:
    """Lets Lambda make and remove interfaces with the role; the function's own code may not.

    The caller acknowledges the resource `*`, for the reason DESCRIBED and those of its own.
    """
    stack = cdk.Stack.of(role)
    anything = stack.format_arn(service="ec2", resource="*", resource_name="*")
    for actions, resource in ((SEEING_INTERFACES, "*"), (CHANGING_INTERFACES, anything)):
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[resource]))
    function = stack.format_arn(
        service="lambda",
        resource="function",
        resource_name=function_name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[*SEEING_INTERFACES, *CHANGING_INTERFACES],
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": function}},
        )
    )
    acknowledge_wildcard(
        role,
        anything,
        "Lambda makes network interfaces whose ids nobody knows before, and checks the role for "
        "all of them; the function's own code is denied the same actions.",
    )
