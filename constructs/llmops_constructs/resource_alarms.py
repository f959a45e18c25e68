"""Alarms of the resources beside the service: queues, databases, caches."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs.alarms import RUNBOOK, AlarmMaker, Severity, Thresholds, Topics
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.measures import MINUTE, DatabaseMeasures

AGE_SECONDS: Thresholds = {Severity.WARNING: 300, Severity.CRITICAL: 1800}
DEAD_LETTERS: Thresholds = {Severity.WARNING: 0, Severity.CRITICAL: 10}
THROTTLED: Thresholds = {Severity.WARNING: 0}
DATABASE_MILLISECONDS: Thresholds = {Severity.WARNING: 20, Severity.CRITICAL: 100}
CACHE_MILLISECONDS: Thresholds = {Severity.WARNING: 10, Severity.CRITICAL: 50}

FIVE_MINUTES = cdk.Duration.minutes(5)


class QueueAlarms(Construct):
    """Jobs that wait too long, and jobs that were given up.

    :param prefix: what the names of the alarms begin with.
    :param dead_letters: the queue for what was received too often. Default: none is watched.
    :param age_seconds: of the oldest message, five minutes running. Default: a ticket above 300, a
        page above 1800: workers that are scaled to zero take a few minutes to come.
    :param dead: messages in `dead_letters`. Default: a ticket above 0, a page above 10.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_sqs as sqs

        queue = sqs.Queue(stack, "Jobs", enforce_ssl=True)
        llm.QueueAlarms(stack, "Alarms", prefix="handbook-prod", queue=queue)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        queue: sqs.IQueue,
        dead_letters: sqs.IQueue | None = None,
        age_seconds: Thresholds = AGE_SECONDS,
        dead: Thresholds = DEAD_LETTERS,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        maker.levels(
            "queue-age",
            queue.metric_approximate_age_of_oldest_message(period=MINUTE, statistic="Maximum"),
            age_seconds,
            periods=5,
            why="A job has waited for more than {:g} s.",
        )
        if dead_letters:
            maker.levels(
                "dead-letters",
                dead_letters.metric_approximate_number_of_messages_visible(
                    period=FIVE_MINUTES, statistic="Maximum"
                ),
                dead,
                periods=1,
                why="More than {:g} jobs were given up and are with the dead letters.",
            )
        self.alarms = maker.made


class DatabaseAlarms(Construct):
    """Slow storage of a database: the slower of reads and writes, five minutes running.

    Its processor, connections and storage are among ServiceAlarms, since they end a rollout.

    :param prefix: what the names of the alarms begin with.
    :param milliseconds: of an average read or write. Default: a ticket above 20, a page above 100;
        gp3 volumes answer in single digits.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        network = llm.Network(stack, "Network", nat_gateways=1)
        database = llm.Database(
            stack,
            "Data",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            database_name="handbook",
        )
        llm.DatabaseAlarms(stack, "Alarms", prefix="handbook-prod", database=database)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        database: PostgresDatabase,
        milliseconds: Thresholds = DATABASE_MILLISECONDS,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        maker.levels(
            "database-latency",
            DatabaseMeasures.of(database).slowest_milliseconds,
            milliseconds,
            periods=5,
            why="The database's storage takes more than {:g} ms for a read or a write.",
        )
        self.alarms = maker.made


class CacheAlarms(Construct):
    """A serverless Valkey cache that refuses commands or is slow.

    :param prefix: what the names of the alarms begin with.
    :param cache_name: of the ElastiCache Serverless cache.
    :param throttled: commands refused in a minute, five minutes running. Default: a ticket above
        0: the load grows faster than the cache.
    :param milliseconds: of an average read or write, five minutes running. Default: a ticket above
        10, a page above 50.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        llm.CacheAlarms(stack, "Alarms", prefix="handbook-prod", cache_name="handbook-prod")
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        cache_name: str,
        throttled: Thresholds = THROTTLED,
        milliseconds: Thresholds = CACHE_MILLISECONDS,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        maker.levels(
            "cache-throttles",
            _cache(cache_name, "ThrottledCmds", "Sum"),
            throttled,
            periods=5,
            why="The cache refuses more than {:g} commands a minute.",
        )
        slower = cloudwatch.MathExpression(
            expression="MAX([FILL(read,0),FILL(write,0)])/1000",
            label="slower of reads and writes, ms",
            period=MINUTE,
            using_metrics={
                "read": _cache(cache_name, "SuccessfulReadRequestLatency", "Average"),
                "write": _cache(cache_name, "SuccessfulWriteRequestLatency", "Average"),
            },
        )
        maker.levels(
            "cache-latency",
            slower,
            milliseconds,
            periods=5,
            why="The cache takes more than {:g} ms for a read or a write.",
        )
        self.alarms = maker.made


def _cache(name: str, metric: str, statistic: str) -> cloudwatch.Metric:
    """A metric of a serverless cache; its latencies are in microseconds."""
    return cloudwatch.Metric(
        namespace="AWS/ElastiCache",
        metric_name=metric,
        statistic=statistic,
        period=MINUTE,
        dimensions_map={"clusterId": name},
    )
