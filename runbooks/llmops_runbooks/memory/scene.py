"""What `deploy` leaves behind: a service with its first release, for the twin to start from."""

from __future__ import annotations

from typing import Any

from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.manifest import Release

ROLE = "arn:aws:iam::123456789012:role/handbook-local-hook"


def task_definition(where: Coordinates, release: Release) -> dict[str, Any]:
    """The task definition as CloudFormation registers it."""
    variables = {
        "HOST": "0.0.0.0",  # noqa: S104 (inside the task's own network)
        "RELEASE": release.id,
        "CORPUS_URI": f"s3://{where.artifact_bucket}/{release.corpus_key}",
        "BUNDLE_URI": f"s3://{where.artifact_bucket}/{release.bundle_key}",
    }
    return {
        "family": where.task_family,
        "networkMode": "awsvpc",
        "cpu": "512",
        "memory": "1024",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::123456789012:role/handbook-local-execution",
        "volumes": [],
        "containerDefinitions": [
            {
                "name": where.container,
                "image": f"{where.repository_uri}@{release.image}",
                "essential": True,
                "environment": [
                    {"name": name, "value": value} for name, value in variables.items()
                ],
                "secrets": [{"name": "BEARER_TOKENS", "valueFrom": where.token_secret_arn}],
            }
        ],
    }


def deployment_configuration(where: Coordinates) -> dict[str, Any]:
    """The deployment configuration as the service stack sets it."""
    return {
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "strategy": "CANARY",
        "bakeTimeInMinutes": 5,
        "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10},
        "alarms": {"alarmNames": list(where.alarms), "enable": True, "rollback": True},
        "lifecycleHooks": [
            {
                "targetType": "AWS_LAMBDA",
                "hookTargetArn": where.gate_function_arn,
                "roleArn": ROLE,
                "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"],
            }
        ],
    }
