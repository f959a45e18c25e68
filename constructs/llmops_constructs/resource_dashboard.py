"""How AWS's own resources are shown: the pages of cdk-monitoring-constructs, without its alarms.

It knows of each service which metrics belong beside each other, which would be some hundred lines
here. Its alarms are left off: theirs would be named, described and judged otherwise than the
project's, and each thing would be watched twice. Importing it costs half a second of every
synthesis, so it is imported where somebody asks for the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_rds as rds
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.names import resource_name


class ResourceDashboard(Construct):
    """One dashboard of functions, queues, database, table and cache; what is not given is left out.

    :param prefix: what the dashboard's name begins with; `-resources` follows.
    :param functions: Lambda functions by the name they are shown under.
    :param queue, dead_letters: belong together.
    :param database_instance, database_cluster: of RDS; one of them, or neither.
    :param table: of DynamoDB.
    :param cache_name: of an ElastiCache Serverless cache.

    Example::

        from aws_cdk import aws_sqs as sqs

        llm.ResourceDashboard(
            stack,
            "Resources",
            prefix="handbook-prod",
            queue=sqs.Queue(stack, "Jobs", enforce_ssl=True),
            dead_letters=sqs.Queue(stack, "Dead", enforce_ssl=True),
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        functions: Mapping[str, lambda_.IFunction] | None = None,
        queue: sqs.IQueue | None = None,
        dead_letters: sqs.IQueue | None = None,
        database_instance: rds.IDatabaseInstance | None = None,
        database_cluster: rds.IDatabaseCluster | None = None,
        table: dynamodb.ITable | None = None,
        cache_name: str | None = None,
    ) -> None:
        super().__init__(scope, id)
        given = (functions, queue, database_instance, database_cluster, table, cache_name)
        check(
            self,
            [
                (not any(given), "Nothing to show is given."),
                (
                    (queue is None) != (dead_letters is None),
                    "queue and dead_letters belong together: give both or neither.",
                ),
                (
                    database_instance is not None and database_cluster is not None,
                    "database_instance and database_cluster exclude each other.",
                ),
            ],
        )
        import cdk_monitoring_constructs as monitoring

        page = monitoring.MonitoringFacade(
            self,
            "Page",
            dashboard_factory=monitoring.DefaultDashboardFactory(
                self,
                "Dashboard",
                dashboard_name_prefix=resource_name(prefix, "resources"),
                detail_dashboard_range=cdk.Duration.days(1),
            ),
        )
        for name, function in (functions or {}).items():
            page.monitor_lambda_function(lambda_function=function, human_readable_name=name)
        if queue and dead_letters:
            page.monitor_sqs_queue_with_dlq(queue=queue, dead_letter_queue=dead_letters)
        if database_instance:
            page.monitor_rds_instance(instance=database_instance)
        if database_cluster:
            page.monitor_rds_cluster(cluster=database_cluster)
        if table:
            page.monitor_dynamo_table(table=table)
        if cache_name:
            page.monitor_serverless_elasti_cache(cluster_id=cache_name)
