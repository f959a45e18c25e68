"""Where a deployed service is: written by the stacks to one SSM parameter, read by the runbooks.

It is the only thing that build time and run time share; it holds names and ARNs, no secrets.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


def parameter_name(service_name: str, environment: str) -> str:
    """The SSM parameter that holds the coordinates of a service in an environment."""
    return f"/llmops/{service_name}/{environment}/coordinates"


class Coordinates(BaseModel):
    """The addresses of one deployed service. Every value is a string CloudFormation resolves."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = SCHEMA_VERSION
    environment: str
    service_name: str
    region: str
    cluster: str
    """Name of the ECS cluster."""
    service: str
    """Name of the ECS service."""
    task_family: str
    container: str
    """Name of the container, in the task definition, that runs the release's image."""
    production_rule_arn: str
    test_rule_arn: str
    blue_target_group_arn: str
    green_target_group_arn: str
    artifact_bucket: str
    repository: str
    """Name of the ECR repository."""
    repository_uri: str
    token_secret_arn: str
    database_secret_arn: str
    secrets: dict[str, str] = Field(default_factory=dict)
    """What `llmops secrets` calls a secret -> its ARN: `tokens`, `database`, providers' keys."""
    alarms: tuple[str, ...]
    """Names of the alarms ECS watches during a rollout."""
    gate_function_arn: str
    log_group: str
    metric_namespace: str
    service_url: str
    test_url: str
