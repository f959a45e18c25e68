"""Findings of cdk-nag and of the CDK's own checks that are right as they are, and why."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct


AWS_SOLUTIONS = "AwsSolutions"
HIPAA, NIST, PCI = "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321"
CONFORMANCE = (HIPAA, NIST, PCI)
"""cdk-nag's packs after AWS Config's conformance packs; they share most of their rules' names."""


def acknowledge(scope: Construct, finding: str, reason: str) -> None:
    """Records why a finding is right as it is, at the construct it arises at."""
    cdk.Validations.of(scope).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))


def acknowledge_rule(
    scope: Construct, rule: str, reason: str, packs: Sequence[str] = CONFORMANCE
) -> None:
    """The same for a rule of the conformance packs that have it, e.g. `LambdaDLQ`."""
    for pack in packs:
        acknowledge(scope, f"{pack}-{rule}", reason)


def acknowledge_wildcard(role: iam.Role, resource: str, reason: str) -> None:
    """Records why a role may use a resource that is or ends with `*`."""
    acknowledge(role, f"AwsSolutions-IAM5[Resource::{resource}]", reason)


def objects_finding(scope: Construct, bucket: s3.IBucket, keys: str) -> str:
    """How cdk-nag writes the ARN of some objects of a bucket, seen from the stack of `scope`.

    In the bucket's own stack it is the logical id; from another one, the export it comes by.
    """
    owner = cdk.Stack.of(bucket)
    if owner is cdk.Stack.of(scope):
        resource = bucket.node.default_child
        assert isinstance(resource, cdk.CfnResource)
        return f"<{owner.resolve(resource.logical_id)}.Arn>/{keys}"
    export = owner.resolve(owner.export_value(bucket.bucket_arn))
    return f"{export['Fn::ImportValue']}/{keys}"
