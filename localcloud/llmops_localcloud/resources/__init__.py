"""CloudFormation types that moto lacks or makes wrongly; importing the package adds them."""

from llmops_localcloud.resources import (
    dynamodb,
    ec2,
    identity,
    kms,
    lambdas,
    logs,
    messages,
    rds,
    s3,
    scaling,
    secretsmanager,
    ssm,
)

__all__ = [
    "dynamodb", "ec2", "identity", "kms", "lambdas", "logs", "messages", "rds", "s3", "scaling",
    "secretsmanager", "ssm",
]  # fmt: skip
