"""The alarms of a service, all of which ECS watches while it moves traffic.

An alarm that fires when a deployment starts is ignored for all of it, so each one here needs
several bad minutes and takes missing data as quiet: no traffic is not an outage.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from llmops_constructs._validation import check, outside
from llmops_constructs.database import Database
from llmops_constructs.names import resource_name
from llmops_constructs.routing import LlmRouting

ELB = "AWS/ApplicationELB"
RDS = "AWS/RDS"
ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
GIB = 1024**3


class ServiceAlarms(Construct):
    """Errors, latency and unhealthy tasks; with a database its processor, connections, storage.

    They catch what breaks for everybody. Whether a canary is worse than the baseline is the
    gate's question: at 10 % of the traffic even a bad canary hardly moves these numbers.

    :param prefix: what the names of the alarms begin with.
    :param error_percent: share of answers with status 5xx that is too much, two minutes of
        three.
    :param p95_seconds: 95th percentile of the response time that is too slow, three minutes
        running.
    :param database: default: none is watched.
    :param database_connections: too many. Default: 70, of about 80 an RDS instance with
        1 GiB of memory takes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        routing: LlmRouting,
        database: Database | None = None,
        error_percent: float = 5,
        p95_seconds: float = 2,
        database_connections: int = 70,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    outside(error_percent, 0.01, 100),
                    f"error_percent is {error_percent}, not a share.",
                ),
                (p95_seconds <= 0, f"p95_seconds is {p95_seconds}; it must be above 0."),
            ],
        )
        self._prefix = prefix
        self.alarms: list[cloudwatch.Alarm] = []
        self._errors(routing, error_percent)
        self._latency(routing, p95_seconds)
        self._unhealthy(routing, "blue", routing.blue)
        self._unhealthy(routing, "green", routing.green)
        if database:
            self._database(database, database_connections)

    def _errors(self, routing: LlmRouting, percent: float) -> None:
        share = cloudwatch.MathExpression(
            expression="100*(FILL(e5xx,0)/requests)",
            label="answers with status 5xx, %",
            period=cdk.Duration.minutes(1),
            using_metrics={
                "e5xx": self._balancer(routing, "HTTPCode_Target_5XX_Count", "Sum"),
                "requests": self._balancer(routing, "RequestCount", "Sum"),
            },
        )
        self._alarm(
            "5xx-share",
            share,
            threshold=percent,
            minutes=3,
            of_which=2,
            why=f"More than {percent:g} % of the answers are errors of the service.",
        )

    def _latency(self, routing: LlmRouting, seconds: float) -> None:
        self._alarm(
            "p95-latency",
            self._balancer(routing, "TargetResponseTime", "p95"),
            threshold=seconds,
            minutes=3,
            why=f"One answer in twenty takes longer than {seconds:g} s.",
        )

    def _unhealthy(
        self, routing: LlmRouting, arm: str, group: elbv2.ApplicationTargetGroup
    ) -> None:
        metric = cloudwatch.Metric(
            namespace=ELB,
            metric_name="UnHealthyHostCount",
            statistic="Minimum",
            period=cdk.Duration.minutes(1),
            dimensions_map={
                "LoadBalancer": routing.load_balancer.load_balancer_full_name,
                "TargetGroup": group.target_group_full_name,
            },
        )
        self._alarm(
            f"unhealthy-{arm}",
            metric,
            threshold=0,
            minutes=3,
            why=f"A task behind the {arm} target group fails its health check.",
        )

    def _database(self, database: Database, connections: int) -> None:
        tenth = database.allocated_gib * GIB // 10
        table = [
            ("cpu", "CPUUtilization", ABOVE, 90.0, "The database's processor is above 90 %."),
            (
                "connections",
                "DatabaseConnections",
                ABOVE,
                float(connections),
                f"More than {connections} connections to the database.",
            ),
            ("storage", "FreeStorageSpace", BELOW, float(tenth), "A tenth of the storage is left."),
        ]
        for what, name, comparison, threshold, why in table:
            metric = cloudwatch.Metric(
                namespace=RDS,
                metric_name=name,
                statistic="Average",
                period=cdk.Duration.minutes(1),
                dimensions_map={"DBInstanceIdentifier": database.instance.instance_identifier},
            )
            self._alarm(
                f"database-{what}",
                metric,
                threshold=threshold,
                minutes=5,
                comparison=comparison,
                why=why,
            )

    def _balancer(self, routing: LlmRouting, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=ELB,
            metric_name=name,
            statistic=statistic,
            period=cdk.Duration.minutes(1),
            dimensions_map={"LoadBalancer": routing.load_balancer.load_balancer_full_name},
        )

    def _alarm(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        minutes: int,
        why: str,
        of_which: int | None = None,
        comparison: cloudwatch.ComparisonOperator = ABOVE,
    ) -> None:
        self.alarms.append(
            cloudwatch.Alarm(
                self,
                what,
                alarm_name=resource_name(self._prefix, what),
                alarm_description=why,
                metric=metric,
                threshold=threshold,
                comparison_operator=comparison,
                evaluation_periods=minutes,
                datapoints_to_alarm=of_which or minutes,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
        )
