"""When something is bad, how bad it is, and the alarms that ECS watches while it moves traffic.

An alarm has a name, `<prefix>-<what>`, with the severity behind it where one thing is watched at
several levels; a sentence that says what is wrong; a link to the part of the runbook of the same
name; and a way to whoever is told. `AlarmMaker` is the one place that gives it these, so that no
alarm can be without them.

Each alarm takes missing data as quiet: no traffic is not an outage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_sns as sns
from constructs import Construct

from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.database import Database, PostgresDatabase
from llmops_constructs.measures import Balancer, DatabaseMeasures
from llmops_constructs.names import resource_name
from llmops_constructs.routing import LlmRouting

ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
REACHED = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
GIB = 1024**3

RUNBOOK = "docs/alarms.md"
"""The page that comes with the project, one section for each alarm."""


class Severity(Enum):
    """What an alarm asks of people."""

    CRITICAL = "page"
    """Somebody looks now."""
    WARNING = "ticket"
    """Somebody looks within a working day."""

    @property
    def suffix(self) -> str:
        """How it ends an alarm's name."""
        return self.name.lower()


Thresholds = Mapping[Severity, float]
"""From where on something is how bad; one alarm each."""


class Topics(Protocol):
    """Who is told. `AlarmTopics` is one."""

    def topic(self, severity: Severity) -> sns.ITopic:
        """Where alarms of this severity go."""
        ...


class AlarmMaker:
    """Makes the alarms of one construct; `made` has them in order."""

    def __init__(
        self, scope: Construct, *, prefix: str, topics: Topics | None, runbook_url: str
    ) -> None:
        self.made: list[cloudwatch.Alarm] = []
        self._scope, self._prefix, self._runbook_url = scope, prefix, runbook_url
        self._actions = _actions(topics) if topics else {}

    def levels(
        self,
        what: str,
        metric: cloudwatch.IMetric,
        thresholds: Thresholds,
        *,
        periods: int,
        why: str,
        of_which: int | None = None,
        comparison: cloudwatch.ComparisonOperator = ABOVE,
        runbook: str | None = None,
    ) -> None:
        """One alarm for each severity, which ends its name; `why` has a place for the threshold."""
        for severity, threshold in thresholds.items():
            self.one(
                f"{what}-{severity.suffix}",
                metric,
                severity=severity,
                threshold=threshold,
                periods=periods,
                why=why.format(threshold),
                of_which=of_which,
                comparison=comparison,
                runbook=runbook or what,
            )

    def one(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        severity: Severity,
        threshold: float,
        periods: int,
        why: str,
        of_which: int | None = None,
        comparison: cloudwatch.ComparisonOperator = ABOVE,
        runbook: str | None = None,
    ) -> None:
        """One alarm: `of_which` (default: all) of the last `periods` periods are bad."""
        alarm = cloudwatch.Alarm(
            self._scope,
            name,
            alarm_name=resource_name(self._prefix, name),
            alarm_description=self._description(why, severity, runbook or name),
            metric=metric,
            threshold=threshold,
            comparison_operator=comparison,
            evaluation_periods=periods,
            datapoints_to_alarm=of_which or periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if severity in self._actions:
            alarm.add_alarm_action(self._actions[severity])
            alarm.add_ok_action(self._actions[severity])
        self.made.append(alarm)

    def _description(self, why: str, severity: Severity, section: str) -> str:
        return f"{why}\nSeverity: {severity.value}\nRunbook: {self._runbook_url}#{section}"


def _actions(topics: Topics) -> dict[Severity, actions.SnsAction]:
    return {severity: actions.SnsAction(topics.topic(severity)) for severity in Severity}


@dataclass(frozen=True)
class AnswerLimits:
    """From where on the answers of a service are bad, whoever counts them."""

    error_percent: float
    p95_seconds: float

    def rules(self) -> list[Rule]:
        """What the limits may not be."""
        return [
            (
                outside(self.error_percent, 0.01, 100),
                f"error_percent is {self.error_percent}, not a share.",
            ),
            (self.p95_seconds <= 0, f"p95_seconds is {self.p95_seconds}; it must be above 0."),
        ]

    def watch(
        self,
        maker: AlarmMaker,
        *,
        error_percent: cloudwatch.IMetric,
        p95: cloudwatch.IMetric,
        units_per_second: int,
    ) -> None:
        """The two alarms; the p95 is measured in so many units per second."""
        maker.one(
            "5xx-share",
            error_percent,
            severity=Severity.CRITICAL,
            threshold=self.error_percent,
            periods=3,
            of_which=2,
            why=f"More than {self.error_percent:g} % of the answers are errors of the service.",
        )
        maker.one(
            "p95-latency",
            p95,
            severity=Severity.CRITICAL,
            threshold=units_per_second * self.p95_seconds,
            periods=3,
            why=f"One answer in twenty takes longer than {self.p95_seconds:g} s.",
        )


class ServiceAlarms(Construct):
    """Errors, latency and unhealthy tasks; with a database its processor, connections, storage.

    They catch what breaks for everybody. Whether a canary is worse than the baseline is the
    gate's question: at 10 % of the traffic even a bad canary hardly moves these numbers.

    ECS watches all of them while it moves traffic. An alarm that fires when a deployment starts is
    ignored for all of it, so each one here needs several bad minutes.

    :param prefix: what the names of the alarms begin with.
    :param error_percent: share of answers with status 5xx that is too much, two minutes of
        three.
    :param p95_seconds: 95th percentile of the response time that is too slow, three minutes
        running.
    :param database: default: none is watched.
    :param database_connections: too many. Default: 70, of about 80 an RDS instance with
        1 GiB of memory takes.
    :param topics: who is told; default: nobody, the alarms only end deployments.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        network = llm.Network(stack, "Network", nat_gateways=1)
        routing = llm.LlmRouting(
            stack,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            container_port=8080,
            test_listener_port=8081,
        )
        llm.ServiceAlarms(stack, "Alarms", prefix="handbook-prod", routing=routing, p95_seconds=3)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        routing: LlmRouting,
        database: PostgresDatabase | None = None,
        error_percent: float = 5,
        p95_seconds: float = 2,
        database_connections: int = 70,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        limits = AnswerLimits(error_percent, p95_seconds)
        check(self, limits.rules())
        self._maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        balancer = Balancer(routing.load_balancer)
        limits.watch(
            self._maker,
            error_percent=balancer.error_percent,
            p95=balancer.metric("TargetResponseTime", "p95"),
            units_per_second=1,
        )
        self._unhealthy(balancer, "blue", routing.blue)
        self._unhealthy(balancer, "green", routing.green)
        if database:
            self._database(database, database_connections)

    @property
    def alarms(self) -> list[cloudwatch.Alarm]:
        """All of them, for whoever moves traffic."""
        return self._maker.made

    def _unhealthy(self, balancer: Balancer, arm: str, group: elbv2.ApplicationTargetGroup) -> None:
        self._maker.one(
            f"unhealthy-{arm}",
            balancer.metric("UnHealthyHostCount", "Minimum", group),
            severity=Severity.CRITICAL,
            threshold=0,
            periods=3,
            why=f"A task behind the {arm} target group fails its health check.",
            runbook="unhealthy",
        )

    def _database(self, database: PostgresDatabase, connections: int) -> None:
        """The storage only of an instance: that of a cluster grows by itself."""
        table = [
            ("cpu", "CPUUtilization", ABOVE, 90.0, "The database's processor is above 90 %."),
            (
                "connections",
                "DatabaseConnections",
                ABOVE,
                float(connections),
                f"More than {connections} connections to the database.",
            ),
        ]
        if isinstance(database, Database):
            tenth = float(database.allocated_gib * GIB // 10)
            table.append(
                ("storage", "FreeStorageSpace", BELOW, tenth, "A tenth of the storage is left.")
            )
        measures = DatabaseMeasures.of(database)
        for what, name, comparison, threshold, why in table:
            self._maker.one(
                f"database-{what}",
                measures.metric(name),
                severity=Severity.CRITICAL,
                threshold=threshold,
                periods=5,
                comparison=comparison,
                why=why,
            )
