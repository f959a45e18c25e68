"""Apps and stacks that ask AWS nothing while they are synthesized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
import jsii
from constructs import Construct

from llmops_constructs._findings import acknowledge_rule

FEATURE_FLAGS: Mapping[str, Any] = {
    "@aws-cdk/aws-ec2:restrictDefaultSecurityGroup": False,  # would add a custom resource
    "@aws-cdk/aws-ecs:arnFormatIncludesClusterName": True,
    "@aws-cdk/aws-ecs:reduceEc2FargateCloudWatchPermissions": True,
    "@aws-cdk/aws-ecs:removeDefaultDeploymentAlarm": True,
    "@aws-cdk/aws-iam:importedRoleStackSafeDefaultPolicyName": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-rds:preventRenderingDeprecatedCredentials": True,
    "@aws-cdk/aws-s3:publicAccessBlockedByDefault": True,
    "@aws-cdk/core:checkSecretUsage": True,
    "@aws-cdk/core:defaultCrossStackReferences": "strong",  # an export in use cannot go
    "@aws-cdk/core:enablePartitionLiterals": True,
    "@aws-cdk/core:target-partitions": ["aws"],
    "@aws-cdk/core:validateAgainstDefaultRules": True,  # a template CloudFormation refuses
    # The CLI's own additions to a template; the same without it and with it.
    "aws:cdk:enable-asset-metadata": False,
    "aws:cdk:enable-path-metadata": False,
}
"""What an app decides itself, so that `python app.py` and `cdk synth` agree."""


def new_app(outdir: str | None = None) -> cdk.App:
    """An app whose templates depend on the settings alone, whoever runs it.

    :param outdir: default: `CDK_OUTDIR`, else a temporary folder that goes with the process.
    """
    return cdk.App(
        analytics_reporting=False,
        outdir=outdir,
        post_cli_context=FEATURE_FLAGS,
        stack_traces=False,
        tree_metadata=False,
    )


class ExplicitStack(cdk.Stack):
    """A stack that is told its account, region and zones, so that the CDK looks none of them up.

    A plain stack with an account and a region asks AWS for the zones as soon as a VPC is in it,
    even if the VPC was given their names.

    :param availability_zones: names of the zones a VPC in this stack may use.
    :param termination_protection: default: the stack cannot be deleted until it is turned off.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        account: str,
        region: str,
        availability_zones: Sequence[str],
        description: str | None = None,
        termination_protection: bool = True,
    ) -> None:
        self._zones = list(availability_zones)
        super().__init__(
            scope,
            id,
            stack_name=id,
            description=description,
            env=cdk.Environment(account=account, region=region),
            termination_protection=termination_protection,
        )
        acknowledge_rule(
            self,
            "IAMNoInlinePolicy",
            "Each policy is written for one role and lives and dies with it, the one-to-one case "
            "for which IAM's guide names inline policies; a managed one can be attached to others.",
        )

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """The zones it was told."""
        return self._zones
