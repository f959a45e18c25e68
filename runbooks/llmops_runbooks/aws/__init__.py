"""The ports on AWS: boto3 enters here and nowhere else."""
