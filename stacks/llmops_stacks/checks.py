"""The policies that every template is checked against."""

from __future__ import annotations

from collections.abc import Callable

import aws_cdk as cdk
import cdk_nag

from llmops_runbooks.settings import Environment

PACKS: dict[str, Callable[[cdk.App], cdk.IPolicyValidationPlugin]] = {
    "aws-solutions": cdk_nag.AwsSolutionsChecks,
    "hipaa": cdk_nag.HIPAASecurityChecks,
    "nist-800-53-r5": cdk_nag.NIST80053R5Checks,
    "pci-dss": cdk_nag.PCIDSS321Checks,
}
"""cdk-nag's rule packs by their names in llmops.toml."""


def add_checks(app: cdk.App, environment: Environment) -> None:
    """Makes synthesis fail on any finding of the environment's packs that nobody answered."""
    packs = (PACKS[name](app) for name in environment.policies)
    cdk.Validations.of(app).add_plugins(*packs)
