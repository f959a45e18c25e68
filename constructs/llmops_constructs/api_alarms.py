"""Alarms of a service behind an HTTP API of API Gateway: the rows a load balancer has elsewhere."""

from __future__ import annotations

from aws_cdk import aws_apigatewayv2 as apigateway
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.alarms import RUNBOOK, AlarmMaker, AnswerLimits, Topics
from llmops_constructs.measures import MINUTE, error_percent_of


class ApiAlarms(Construct):
    """Errors and latency of an HTTP API, by the names and limits that ServiceAlarms has.

    :param prefix: what the names of the alarms begin with.
    :param error_percent: share of answers with status 5xx that is too much, two minutes of three.
    :param p95_seconds: 95th percentile of the response time that is too slow, three minutes
        running. Cold starts are in it.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_apigatewayv2 as apigateway

        api = apigateway.HttpApi(stack, "Api")
        llm.ApiAlarms(stack, "Alarms", prefix="handbook-prod", api=api)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        api: apigateway.IHttpApi,
        error_percent: float = 5,
        p95_seconds: float = 2,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        limits = AnswerLimits(error_percent, p95_seconds)
        check(self, limits.rules())
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        limits.watch(
            maker,
            error_percent=error_percent_of(
                api.metric_server_error(period=MINUTE, statistic="Sum"),
                api.metric_count(period=MINUTE, statistic="Sum"),
            ),
            p95=api.metric_latency(period=MINUTE, statistic="p95"),
            units_per_second=1000,
        )
        self.alarms = maker.made
