"""Alarms of a service behind an HTTP API of API Gateway: the rows a load balancer has elsewhere."""

from __future__ import annotations

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llmops_constructs._validation import check, outside
from llmops_constructs.alarms import RUNBOOK, AlarmMaker, Severity, Topics
from llmops_constructs.measures import MINUTE


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
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        maker.one(
            "5xx-share",
            _error_percent(api),
            severity=Severity.CRITICAL,
            threshold=error_percent,
            periods=3,
            of_which=2,
            why=f"More than {error_percent:g} % of the answers are errors of the service.",
        )
        maker.one(
            "p95-latency",
            api.metric_latency(period=MINUTE, statistic="p95"),
            severity=Severity.CRITICAL,
            threshold=1000 * p95_seconds,
            periods=3,
            why=f"One answer in twenty takes longer than {p95_seconds:g} s.",
        )
        self.alarms = maker.made


def _error_percent(api: apigateway.IHttpApi) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression="100*(FILL(e5xx,0)/requests)",
        label="answers with status 5xx, %",
        period=MINUTE,
        using_metrics={
            "e5xx": api.metric_server_error(period=MINUTE, statistic="Sum"),
            "requests": api.metric_count(period=MINUTE, statistic="Sum"),
        },
    )
