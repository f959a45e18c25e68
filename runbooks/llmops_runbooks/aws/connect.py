"""From an environment's settings to everything a runbook needs."""

from __future__ import annotations

from llmops_runbooks.aws.alarms import CloudWatchAlarms
from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.clock import CloudClock
from llmops_runbooks.aws.ecr import EcrRegistry
from llmops_runbooks.aws.ecs import EcsDeployments
from llmops_runbooks.aws.elbv2 import ListenerRules
from llmops_runbooks.aws.histories import CloudWatchHistories
from llmops_runbooks.aws.metrics import CloudWatchMetrics
from llmops_runbooks.aws.s3 import S3Artifacts
from llmops_runbooks.aws.ssm import read_coordinates
from llmops_runbooks.errors import UsageError
from llmops_runbooks.ports import Cloud
from llmops_runbooks.settings import Environment


def connect(environment: Environment) -> Cloud:
    """The cloud of a deployed service; raises UsageError if it is not deployed."""
    clients = Clients(environment)
    where = read_coordinates(clients, environment)
    if where is None:
        raise UsageError(
            f"The service {environment.service_name} is not deployed to environment "
            f"{environment.name}.",
            hint=f"llmops deploy --env {environment.name}",
        )
    return Cloud(
        coordinates=where,
        deployments=EcsDeployments(clients, cluster=where.cluster, service=where.service),
        artifacts=S3Artifacts(clients, where.artifact_bucket),
        registry=EcrRegistry(clients, where.repository),
        routing=ListenerRules(clients),
        alarms=CloudWatchAlarms(clients),
        metrics=CloudWatchMetrics(clients.client("cloudwatch"), where.metric_namespace),
        histories=CloudWatchHistories(clients, where.metric_namespace),
        clock=CloudClock(clients),
    )
