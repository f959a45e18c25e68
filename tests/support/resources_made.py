"""What a stack would make, without the price of a synthesis."""

from __future__ import annotations

import aws_cdk as cdk


def resources_made(stack: cdk.Stack) -> list[str]:
    """The paths of the resources in a stack."""
    nodes = stack.node.find_all()
    return [node.node.path for node in nodes if isinstance(node, cdk.CfnResource)]
