"""What a function in a VPC needs: network interfaces, made with its role, and a security group.

What Lambda needs of the role, and the deny statement, are those of the Lambda developer guide,
"Giving Lambda functions access to resources in an Amazon VPC": Lambda makes the interfaces with the
function's role, so the function's own code could as well unless it is denied.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from llmops_constructs._findings import acknowledge_wildcard

SEEING_INTERFACES = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
CHANGING_INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda does with the role of a function in a VPC, and the function itself must not."""

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


def function_group(
    scope: Construct, vpc: ec2.IVpc, description: str, *, whom: str, ipv6: bool
) -> ec2.SecurityGroup:
    """The security group of a function: HTTPS out to `whom`, by IPv6 too if asked; nothing in."""
    group = ec2.SecurityGroup(
        scope, "Group", vpc=vpc, description=description, allow_all_outbound=False
    )
    group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), whom)
    if ipv6:
        group.add_egress_rule(ec2.Peer.any_ipv6(), ec2.Port.tcp(443), f"{whom} by IPv6")
    return group
