"""Findings of cdk-nag and of the CDK's own checks that are right as they are, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from llmops_constructs._wildcards import written

HIPAA, NIST, PCI = "HIPAA.Security", "NIST.800.53.R5", "PCI.DSS.321"
CONFORMANCE = (HIPAA, NIST, PCI)
"""cdk-nag's packs after AWS Config's conformance packs; they share most of their rules' names."""


def acknowledge(scope: IConstruct, finding: str, reason: str) -> None:
    """Records why a finding is right as it is, at the construct it arises at."""
    cdk.Validations.of(scope).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))


def acknowledge_rule(
    scope: IConstruct, rule: str, reason: str, packs: Sequence[str] = CONFORMANCE
) -> None:
    """The same for a rule of the conformance packs that have it, e.g. `LambdaDLQ`."""
    for pack in packs:
        acknowledge(scope, f"{pack}-{rule}", reason)


def acknowledge_rules(scope: IConstruct, reasons: Mapping[str, tuple[bool, str]]) -> None:
    """Those rules of the conformance packs that find something here, and why each is right."""
    for rule, (found, reason) in reasons.items():
        if found:
            acknowledge_rule(scope, rule, reason)


def acknowledge_unscheduled(secret: IConstruct, reason: str) -> None:
    """Records why no schedule in the secret's own stack rotates it."""
    acknowledge(secret, "AwsSolutions-SMG4", reason)
    acknowledge_rule(secret, "SecretsManagerRotationEnabled", reason)


def acknowledge_wildcard(role: iam.Role, resource: str, reason: str) -> None:
    """Records why a role may use a resource that is or ends with `*`."""
    acknowledge(role, f"AwsSolutions-IAM5[Resource::{resource}]", reason)


def objects_finding(scope: Construct, bucket: s3.IBucket, keys: str) -> str:
    """How cdk-nag writes the ARN of some objects of a bucket, seen from the stack of `scope`."""
    return written(scope, bucket, bucket.bucket_arn, f"/{keys}")
