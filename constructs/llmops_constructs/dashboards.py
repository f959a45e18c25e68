"""How it is shown: four dashboards of a service, each a page of rows.

A series per release comes from a search, which finds releases that did not exist when the dashboard
was made. A share is the average of a metric that is 0 or 1 in each line. CloudWatch's grid is 24
columns wide; a row's widgets share it evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.measures import (
    MICRO_USD,
    MINUTE,
    Balancer,
    DatabaseMeasures,
    ServiceMetrics,
)
from llmops_constructs.names import resource_name
from llmops_constructs.queries import QUERIES, text
from llmops_constructs.routing import LlmRouting

GRID = 24
HEIGHT = 6
HOUR_SECONDS, FIVE_MINUTES_SECONDS = 3600, 300
USD = f"/{MICRO_USD}"

PAGES = ("quality", "latency", "cost", "release")
"""The dashboards there are."""

ARMS = (
    ("requests and 5xx", ("RequestCount", "HTTPCode_Target_5XX_Count"), "Sum"),
    ("response time, p95, s", ("TargetResponseTime",), "p95"),
    ("healthy and unhealthy tasks", ("HealthyHostCount", "UnHealthyHostCount"), "Average"),
)
"""What is shown of each target group: title, metrics, statistic."""

Row = Sequence[cloudwatch.IWidget]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What of the service's surroundings its dashboards show; None is left out."""

    routing: LlmRouting | None = None
    database: PostgresDatabase | None = None
    queue: sqs.IQueue | None = None
    log_group: logs.ILogGroup | None = None


class LlmDashboards(Construct):
    """Quality, latency and cost by release, and the two arms of a rollout side by side.

    :param prefix: what the names of the dashboards begin with.
    :param metrics: those of the service.
    :param beside: load balancer, database, queue and log group. Default: only what the service
        measures is shown.
    :param alarms: whose state is on top of the release's dashboard. Default: none.
    :param pages: among quality, latency, cost and release. Default: all four; CloudWatch's free
        tier has three dashboards of an account, each further one costs money.

    Example::

        metrics = llm.ServiceMetrics(namespace="llmops", service="handbook", environment="prod")
        llm.LlmDashboards(stack, "Dashboards", prefix="handbook-prod", metrics=metrics)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        metrics: ServiceMetrics,
        beside: Beside | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
        pages: Sequence[str] = PAGES,
    ) -> None:
        super().__init__(scope, id)
        unknown = [page for page in pages if page not in PAGES]
        check(
            self,
            [
                (not pages, "pages is empty: there is nothing to show."),
                (bool(unknown), f"There is no page {', '.join(unknown)}; there are {PAGES}."),
            ],
        )
        others = beside or Beside()
        made: dict[str, Callable[[], list[Row]]] = {
            "quality": lambda: _quality(metrics),
            "latency": lambda: _latency(metrics, others),
            "cost": lambda: _cost(metrics, others),
            "release": lambda: _release(metrics, others, alarms),
        }
        self.dashboards = {
            name: cloudwatch.Dashboard(
                self,
                name.capitalize(),
                dashboard_name=resource_name(prefix, name),
                default_interval=cdk.Duration.days(7 if name in {"quality", "cost"} else 1),
                widgets=[list(row) for row in made[name]() if row],
            )
            for name in pages
        }


def _quality(metrics: ServiceMetrics) -> list[Row]:
    shares = [
        ("Thumbs up, share", "Feedback"),
        ("Quality, as scored", "Quality"),
        ("Support by the sources, as scored", "Support"),
        ("Refused, share", "Refusals"),
        ("Sources found, share", "RetrievalHits"),
        ("Stopped by a guardrail, share", "GuardrailHits"),
    ]
    graphs = [
        _graph(title, [metrics.by_release(name, "Average", period_seconds=HOUR_SECONDS)], across=3)
        for title, name in shares
    ]
    counts = [
        _graph(title, [metrics.by_release(name, statistic, period_seconds=HOUR_SECONDS)], across=3)
        for title, name, statistic in (
            ("Thumbs", "Feedback", "SampleCount"),
            ("Injections found", "Injections", "Sum"),
            ("Personal data redacted", "Redactions", "Sum"),
        )
    ]
    return [graphs[:3], graphs[3:], counts]


def _latency(metrics: ServiceMetrics, others: Beside) -> list[Row]:
    seconds = [
        _graph(
            f"{what}, {statistic}, ms",
            [metrics.by_release(name, statistic, period_seconds=FIVE_MINUTES_SECONDS)],
            across=3,
        )
        for what, name in (("Answer", "Latency"), ("First token", "FirstToken"))
        for statistic in ("p50", "p95", "p99")
    ]
    providers = [
        _graph(
            title,
            [metrics.by_release(name, "Sum", more="provider", period_seconds=FIVE_MINUTES_SECONDS)],
            across=2,
        )
        for title, name in (
            ("Calls of providers that failed", "ProviderErrors"),
            ("Calls of providers that timed out", "ProviderTimeouts"),
        )
    ]
    return [seconds[:3], seconds[3:], providers, _surroundings(others)]


def _cost(metrics: ServiceMetrics, others: Beside) -> list[Row]:
    def hourly(title: str, name: str, statistic: str, scale: str = "") -> cloudwatch.GraphWidget:
        series = metrics.by_release(name, statistic, period_seconds=HOUR_SECONDS, scale=scale)
        return _graph(title, [series], across=3)

    money = [
        hourly("Answers, USD an hour", "Cost", "Sum", USD),
        hourly("One answer, USD", "Cost", "Average", USD),
        hourly("Scores, USD an hour", "ScoringSpend", "Sum", USD),
    ]
    use = [
        hourly("Prompt tokens an hour", "PromptTokens", "Sum"),
        hourly("Completion tokens an hour", "CompletionTokens", "Sum"),
        hourly("Answers from the cache, share", "CacheHits", "Average"),
    ]
    by_feature = metrics.by_release("Requests", "Sum", more="feature", period_seconds=HOUR_SECONDS)
    events = metrics.by_release("BudgetEvents", "Sum", period_seconds=HOUR_SECONDS)
    requests = [
        _graph("Requests an hour, by feature", [by_feature], across=2),
        _graph("Budgets at 80, 90, 95, 100 %", [events], across=2),
    ]
    return [money, use, requests, _cost_by_feature(others)]


def _release(
    metrics: ServiceMetrics, others: Beside, alarms: Sequence[cloudwatch.IAlarm]
) -> list[Row]:
    """Left blue, right green; below, what the gate compares, a line for each release."""
    compared = [
        ("Requests", "Requests", "Sum"),
        ("Answers with status 5xx, share", "Errors", "Average"),
        ("Answer, p95, ms", "Latency", "p95"),
        ("One answer, micro-dollars", "Cost", "Average"),
        ("Quality, as scored", "Quality", "Average"),
        ("Thumbs up, share", "Feedback", "Average"),
    ]
    graphs = [
        _graph(
            title,
            [metrics.by_release(name, statistic, period_seconds=FIVE_MINUTES_SECONDS)],
            across=3,
        )
        for title, name, statistic in compared
    ]
    states = [
        cloudwatch.AlarmStatusWidget(
            title="Alarms that end a rollout", alarms=list(alarms), width=GRID, height=3
        )
    ]
    top = [states] if alarms else []
    return [*top, *_arms(others), graphs[:3], graphs[3:]]


def _arms(others: Beside) -> list[Row]:
    """The target groups beside each other, one row for each thing compared."""
    routing = others.routing
    if routing is None:
        return []
    balancer = Balancer(routing.load_balancer)

    def graph(arm: str, group: elbv2.ApplicationTargetGroup, row: int) -> cloudwatch.GraphWidget:
        title, names, statistic = ARMS[row]
        series = [balancer.metric(name, statistic, group) for name in names]
        return _graph(f"{arm}: {title}", series, across=2)

    return [
        [graph("Blue", routing.blue, row), graph("Green", routing.green, row)]
        for row in range(len(ARMS))
    ]


def _surroundings(others: Beside) -> list[cloudwatch.GraphWidget]:
    """The time that is lost beside the service, what there is of it."""
    shown: list[tuple[str, cloudwatch.IMetric]] = []
    if others.routing:
        balancer = Balancer(others.routing.load_balancer)
        shown.append(("Load balancer, p95, s", balancer.metric("TargetResponseTime", "p95")))
    if others.database:
        measures = DatabaseMeasures.of(others.database)
        shown.append(("Database, slower of reads and writes", measures.slowest_milliseconds))
    if others.queue:
        age = others.queue.metric_approximate_age_of_oldest_message(
            period=MINUTE, statistic="Maximum"
        )
        shown.append(("Queue, age of the oldest job, s", age))
    return [_graph(title, [metric], across=len(shown)) for title, metric in shown]


def _cost_by_feature(others: Beside) -> list[cloudwatch.LogQueryWidget]:
    if others.log_group is None:
        return []
    return [
        cloudwatch.LogQueryWidget(
            title="Cost by feature and provider",
            log_group_names=[others.log_group.log_group_name],
            query_string=text(QUERIES["cost by feature"]),
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            width=GRID,
            height=HEIGHT,
        )
    ]


def _graph(
    title: str, series: Sequence[cloudwatch.IMetric], *, across: int
) -> cloudwatch.GraphWidget:
    """A graph that is one of `across` in its row."""
    return cloudwatch.GraphWidget(
        title=title,
        left=list(series),
        left_y_axis=cloudwatch.YAxisProps(min=0),
        width=GRID // across,
        height=HEIGHT,
    )
