"""The policy every template is checked against."""

from __future__ import annotations

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks


def add_checks(app: cdk.App) -> None:
    """Makes synthesis fail on any finding of cdk-nag's AWS Solutions rules that nobody answered."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
