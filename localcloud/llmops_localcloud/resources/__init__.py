"""CloudFormation types that moto lacks or makes wrongly; importing the package adds them."""

from llmops_localcloud.resources import ec2, rds, s3, secretsmanager

__all__ = ["ec2", "rds", "s3", "secretsmanager"]
