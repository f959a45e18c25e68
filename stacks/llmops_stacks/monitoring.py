"""The monitoring stack: what is shown, asked for and told, beyond the alarms of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs import (
    AlarmTopics,
    ApiAlarms,
    Beside,
    BudgetAlarms,
    CacheAlarms,
    DatabaseAlarms,
    FeedbackAlarms,
    FunctionAlarms,
    LlmDashboards,
    LlmRouting,
    PostgresDatabase,
    ProviderAlarms,
    QueueAlarms,
    RotationAlarms,
    SavedQueries,
    ServiceMetrics,
    ServiceTotals,
    SpendAlarms,
)
from llmops_runbooks.settings import Environment
from llmops_stacks.base import METRIC_NAMESPACE, EnvironmentStack
from llmops_stacks.foundation import Foundation

if TYPE_CHECKING:
    from llmops_stacks.serverless import ServerlessStack
    from llmops_stacks.service import Below, ServiceStack


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What an environment has to be watched; None and empty: it has none."""

    log_group: logs.ILogGroup
    """Where the service writes."""
    database: PostgresDatabase
    alarms: tuple[cloudwatch.IAlarm, ...] = ()
    """Those of a rollout, whose state the release's dashboard shows."""
    routing: LlmRouting | None = None
    api: apigateway.IHttpApi | None = None
    queue: sqs.IQueue | None = None
    dead_letters: sqs.IQueue | None = None
    cache_name: str | None = None
    functions: Mapping[str, tuple[lambda_.IFunction, logs.ILogGroup]] = field(default_factory=dict)
    rotations: Mapping[str, lambda_.IFunction] = field(default_factory=dict)


def on_fargate(below: Below, service: ServiceStack) -> Watched:
    """What a service on Fargate has to be watched."""
    return Watched(
        **_kept(below),
        log_group=service.service.log_group,
        alarms=tuple(service.alarms.alarms),
        routing=below.routing,
        functions={"gate": (service.gate.function, service.gate.log_group)},
    )


def on_lambda(foundation: Foundation, service: ServerlessStack) -> Watched:
    """What a service on Lambda has to be watched."""
    made = service.service
    return Watched(
        **_kept(foundation),
        log_group=made.log_group,
        api=made.api,
        functions={"service": (made.function, made.log_group)},
    )


def _kept(foundation: Foundation) -> dict[str, Any]:
    """What outlives the service, and what rotates."""
    data, rotation = foundation.data, foundation.rotation
    return {
        "database": data.database,
        "queue": data.jobs.queue if data.jobs else None,
        "dead_letters": data.jobs.dead_letters if data.jobs else None,
        "cache_name": data.cache.name if data.cache else None,
        "rotations": rotation.functions if rotation else {},
    }


class Told(TypedDict):
    """What every alarm of an environment is told: how its name begins, who hears of it, and which
    page says what to do."""

    prefix: str
    topics: AlarmTopics | None
    runbook_url: str


class MonitoringStack(EnvironmentStack):
    """Dashboards, saved queries, and an alarm for whatever a person should look at."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        watched: Watched,
        topics: AlarmTopics | None,
    ) -> None:
        super().__init__(scope, "monitoring", environment)
        self._environment, self._watched, self._topics = environment, watched, topics
        self._told = Told(
            prefix=environment.prefix, topics=topics, runbook_url=environment.alerts.runbooks
        )
        self._show()
        self._watch_the_service()
        self._watch_resources()
        self._watch_functions()
        self._budget()

    def _show(self) -> None:
        environment, watched = self._environment, self._watched
        LlmDashboards(
            self,
            "Dashboards",
            prefix=environment.prefix,
            metrics=ServiceMetrics(
                namespace=METRIC_NAMESPACE,
                service=environment.service_name,
                environment=environment.name,
            ),
            beside=Beside(
                routing=watched.routing,
                database=watched.database,
                queue=watched.queue,
                log_group=watched.log_group,
            ),
            alarms=watched.alarms,
        )
        SavedQueries(self, "Queries", prefix=environment.prefix, log_groups=[watched.log_group])

    def _watch_the_service(self) -> None:
        prefix, budget = self._environment.prefix, self._environment.monitoring.daily_llm_budget_usd
        totals = ServiceTotals(self, "Totals", prefix=prefix, log_group=self._watched.log_group)
        ProviderAlarms(self, "ProviderAlarms", totals=totals, **self._told)
        FeedbackAlarms(self, "FeedbackAlarms", totals=totals, **self._told)
        if budget:
            SpendAlarms(self, "SpendAlarms", totals=totals, daily_budget_usd=budget, **self._told)

    def _watch_resources(self) -> None:
        watched, told = self._watched, self._told
        if watched.api:
            ApiAlarms(self, "ApiAlarms", api=watched.api, **told)
        DatabaseAlarms(self, "DatabaseAlarms", database=watched.database, **told)
        if watched.queue:
            dead = watched.dead_letters
            QueueAlarms(self, "QueueAlarms", queue=watched.queue, dead_letters=dead, **told)
        if watched.cache_name:
            CacheAlarms(self, "CacheAlarms", cache_name=watched.cache_name, **told)

    def _watch_functions(self) -> None:
        for name, (function, log_group) in self._watched.functions.items():
            FunctionAlarms(
                self,
                f"{name.title()}Alarms",
                name=name,
                function=function,
                log_group=log_group,
                **self._told,
            )
        if rotations := self._watched.rotations:
            RotationAlarms(self, "RotationAlarms", functions=rotations, **self._told)

    def _budget(self) -> None:
        monthly = self._environment.monitoring.monthly_budget_usd
        if monthly and self._topics:
            BudgetAlarms(
                self,
                "Budget",
                prefix=self._environment.prefix,
                topics=self._topics,
                monthly_usd=monthly,
                tags=self.tags_of(self._environment),
            )
