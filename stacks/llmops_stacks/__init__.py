"""The stacks of one environment: settings in, CloudFormation out, made of constructs only."""

from llmops_constructs import new_app  # before aws_cdk: it says which Node runs the CDK
from llmops_stacks.build import build
from llmops_stacks.checks import add_checks

__all__ = ["add_checks", "build", "new_app"]
