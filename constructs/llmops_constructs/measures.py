"""What is measured: by AWS's resources, by the service itself, and what its lines add up to.

The service writes its metrics with the release among the dimensions, so that two releases under
traffic are two series. An alarm cannot search over them, and one on a query of Metrics Insights
sees three hours only ("Limits" of CloudWatch alarms), which is no day of money. So what alarms
need of the whole service, metric filters add up from the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs.database import PostgresDatabase

MINUTE = cdk.Duration.minutes(1)
MICRO_USD = 1_000_000
"""The service counts money in micro-dollars."""

RELEASE = ("service", "environment", "release")
"""The dimensions of every metric the service writes; some have one more."""


def error_percent_of(
    errors: cloudwatch.IMetric, requests: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """How many of 100 answers have a status 5xx; a minute without errors has 0."""
    return cloudwatch.MathExpression(
        expression="100*(FILL(e5xx,0)/requests)",
        label="answers with status 5xx, %",
        period=MINUTE,
        using_metrics={"e5xx": errors, "requests": requests},
    )


@dataclass(frozen=True)
class Balancer:
    """What a load balancer measures, minute by minute."""

    load_balancer: elbv2.ApplicationLoadBalancer

    def metric(
        self, name: str, statistic: str, group: elbv2.ApplicationTargetGroup | None = None
    ) -> cloudwatch.Metric:
        """A metric of all of it, or of one target group."""
        dimensions = {"LoadBalancer": self.load_balancer.load_balancer_full_name}
        if group:
            dimensions["TargetGroup"] = group.target_group_full_name
        return cloudwatch.Metric(
            namespace="AWS/ApplicationELB",
            metric_name=name,
            statistic=statistic,
            period=MINUTE,
            dimensions_map=dimensions,
        )

    @property
    def error_percent(self) -> cloudwatch.MathExpression:
        """How many of 100 answers of the targets have a status 5xx."""
        return error_percent_of(
            self.metric("HTTPCode_Target_5XX_Count", "Sum"), self.metric("RequestCount", "Sum")
        )


@dataclass(frozen=True)
class DatabaseMeasures:
    """What RDS measures of an instance or a cluster, minute by minute."""

    dimensions: Mapping[str, str]

    @classmethod
    def of(cls, database: PostgresDatabase) -> DatabaseMeasures:
        """Those of one database."""
        return cls(database.metric_dimensions)

    def metric(self, name: str, label: str | None = None) -> cloudwatch.Metric:
        """The average of a metric."""
        return cloudwatch.Metric(
            namespace="AWS/RDS",
            metric_name=name,
            statistic="Average",
            period=MINUTE,
            dimensions_map=dict(self.dimensions),
            label=label,
        )

    @property
    def slowest_milliseconds(self) -> cloudwatch.MathExpression:
        """The slower of reads and writes; RDS measures both in seconds."""
        return cloudwatch.MathExpression(
            expression="1000*MAX([FILL(read,0),FILL(write,0)])",
            label="slower of reads and writes, ms",
            period=MINUTE,
            using_metrics={
                "read": self.metric("ReadLatency"),
                "write": self.metric("WriteLatency"),
            },
        )


@dataclass(frozen=True, kw_only=True)
class ServiceMetrics:
    """The metrics a service writes, by release.

    :param namespace, service, environment: as the service is told by METRIC_NAMESPACE,
        SERVICE_NAME and ENVIRONMENT.
    """

    namespace: str
    service: str
    environment: str

    def by_release(
        self,
        metric: str,
        statistic: str,
        *,
        more: str | None = None,
        period_seconds: int = 60,
        scale: str = "",
    ) -> cloudwatch.MathExpression:
        """A series for each release that was measured in the time shown; for a dashboard only.

        :param more: one more dimension, `feature`, `fingerprint` or `provider`; default: none.
        :param scale: what is done to each value, e.g. `/1000`.
        """
        dimensions = (*RELEASE, more) if more else RELEASE
        schema = ",".join((self.namespace, *dimensions))
        own = f'service="{self.service}" environment="{self.environment}"'
        shown = " ".join(f"${{PROP('Dim.{each}')}}" for each in dimensions[2:])
        return cloudwatch.MathExpression(
            expression=f"SEARCH('{{{schema}}} MetricName=\"{metric}\" {own}', '{statistic}', "
            f"{period_seconds}){scale}",
            label=shown,
            period=cdk.Duration.seconds(period_seconds),
            using_metrics={},
        )


@dataclass(frozen=True)
class Sum:
    """A metric that is added up from the service's lines."""

    name: str
    field: str
    condition: str = ""
    value: str = ""

    @property
    def pattern(self) -> str:
        """Which lines count: those that have the field and meet the condition."""
        exists = f"$.{self.field} = *"
        return f"{{ ({exists}) && ({self.condition}) }}" if self.condition else f"{{ {exists} }}"


SUMS = (
    Sum("Requests", "Requests"),
    Sum("ProviderErrors", "ProviderErrors"),
    Sum("ProviderTimeouts", "ProviderTimeouts"),
    Sum("Feedback", "Feedback"),
    Sum("Spend", "Cost"),
    Sum("Spend", "ScoringSpend"),
    Sum("BudgetsSpent", "BudgetEvents", condition="$.percent = 100", value="1"),
)
"""Money comes from two kinds of lines, answers and scores, and goes into one metric."""


class ServiceTotals(Construct):
    """Metrics of all releases together, from the lines of a service: requests, errors and
    time-outs of providers, thumbs, money, budgets that are spent.

    CloudWatch takes seven metric filters on one log group (100 is its quota) for them; the six
    metrics are custom ones, at their price.

    :param prefix: what the namespace of the metrics ends with: `llmops/<prefix>`.
    :param log_group: where the service writes.

    Example::

        from aws_cdk import aws_logs as logs

        group = logs.LogGroup(stack, "Logs")
        totals = llm.ServiceTotals(stack, "Totals", prefix="handbook-prod", log_group=group)
        totals.metric("Spend", "Sum", cdk.Duration.days(1))
    """

    def __init__(
        self, scope: Construct, id: str, *, prefix: str, log_group: logs.ILogGroup
    ) -> None:
        super().__init__(scope, id)
        self.namespace = f"llmops/{prefix}"
        for each in SUMS:
            logs.MetricFilter(
                self,
                each.field,
                log_group=log_group,
                filter_pattern=logs.FilterPattern.literal(each.pattern),
                metric_namespace=self.namespace,
                metric_name=each.name,
                metric_value=each.value or f"$.{each.field}",
            )

    def metric(
        self, name: str, statistic: str, period: cdk.Duration, label: str | None = None
    ) -> cloudwatch.Metric:
        """One of the metrics by its name in SUMS."""
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=name,
            statistic=statistic,
            period=period,
            label=label,
        )
