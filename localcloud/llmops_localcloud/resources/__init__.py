"""CloudFormation types that moto lacks or makes wrongly; importing the package adds them."""

from llmops_localcloud.resources import ec2, logs, rds, s3, secretsmanager, ssm

__all__ = ["ec2", "logs", "rds", "s3", "secretsmanager", "ssm"]
