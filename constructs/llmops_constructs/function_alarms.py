"""Alarms of Lambda functions, and of those among them that rotate secrets."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.alarms import RUNBOOK, AlarmMaker, Severity, Thresholds, Topics

ERRORS: Thresholds = {Severity.WARNING: 0, Severity.CRITICAL: 10}
THROTTLES: Thresholds = {Severity.WARNING: 0}
COLD_START_SECONDS: Thresholds = {Severity.WARNING: 5}
CONCURRENCY_PERCENT: Thresholds = {Severity.WARNING: 80, Severity.CRITICAL: 95}

FIVE_MINUTES = cdk.Duration.minutes(5)
HOUR = cdk.Duration.hours(1)

REPORT = (
    '[report="REPORT", id_label, id, duration_label, duration, ms, billed, billed_label, '
    "billed_duration, billed_ms, memory, size_label, size, size_mb, max, max_memory, used_label, "
    'used, used_mb, init="Init", init_label, init_duration, ...]'
)
"""A line Lambda writes after an invocation that had to start a container first, word by word."""
JSON_REPORT = '{ ($.type = "platform.report") && ($.record.metrics.initDurationMs = *) }'
"""The same where the function's log format is JSON."""


class FunctionAlarms(Construct):
    """Errors, throttles, cold starts and concurrency of a Lambda function.

    :param prefix: what the names of the alarms begin with; `name` comes behind it.
    :param name: what the function is, e.g. `gate`.
    :param errors: failed invocations in five minutes. Default: a ticket above 0, a page above 10.
    :param throttles: refused invocations in five minutes. Default: a ticket above 0.
    :param log_group: where the function logs. Default: cold starts are not watched, as Lambda
        measures them nowhere else.
    :param json_logs: whether the function's log format is JSON. Default: it is text.
    :param cold_start_seconds: of the slowest start in five minutes. Default: a ticket above 5.
    :param concurrency_limit: instances the function may have, reserved or the account's. Default:
        concurrency is not watched.
    :param concurrency_percent: of the limit. Default: a ticket above 80, a page above 95.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_lambda as lambda_

        function = lambda_.Function(
            stack,
            "Gate",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
        )
        llm.FunctionAlarms(
            stack, "Alarms", prefix="handbook-prod", name="gate", function=function
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        name: str,
        function: lambda_.IFunction,
        errors: Thresholds = ERRORS,
        throttles: Thresholds = THROTTLES,
        log_group: logs.ILogGroup | None = None,
        json_logs: bool = False,
        cold_start_seconds: Thresholds = COLD_START_SECONDS,
        concurrency_limit: int | None = None,
        concurrency_percent: Thresholds = CONCURRENCY_PERCENT,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    concurrency_limit is not None and concurrency_limit < 1,
                    f"concurrency_limit is {concurrency_limit}; it must be 1 or more.",
                ),
                (json_logs and log_group is None, "json_logs says how log_group is: give it too."),
            ],
        )
        self._name, self._prefix, self._function = name, prefix, function
        self._maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        self._levels(
            "errors",
            function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            errors,
            why=f"The function {name} has failed more than {{:g}} times in five minutes.",
        )
        self._levels(
            "throttles",
            function.metric_throttles(period=FIVE_MINUTES, statistic="Sum"),
            throttles,
            why=f"Lambda has refused more than {{:g}} invocations of {name} in five minutes.",
        )
        if log_group:
            self._cold_starts(log_group, json_logs, cold_start_seconds)
        if concurrency_limit:
            self._concurrency(concurrency_limit, concurrency_percent)
        self.alarms = self._maker.made

    def _cold_starts(self, group: logs.ILogGroup, json_logs: bool, seconds: Thresholds) -> None:
        starts = logs.MetricFilter(
            self,
            "ColdStarts",
            log_group=group,
            filter_pattern=logs.FilterPattern.literal(JSON_REPORT if json_logs else REPORT),
            metric_namespace=f"llmops/{self._prefix}",
            metric_name=f"ColdStart-{self._name}",
            metric_value="$.record.metrics.initDurationMs" if json_logs else "$init_duration",
            unit=cloudwatch.Unit.MILLISECONDS,
        )
        self._levels(
            "cold-starts",
            starts.metric(period=FIVE_MINUTES, statistic="Maximum"),
            {severity: 1000 * each for severity, each in seconds.items()},
            why=f"An instance of {self._name} has taken more than {{:g}} ms to start.",
        )

    def _concurrency(self, limit: int, percent: Thresholds) -> None:
        self._levels(
            "concurrency",
            self._function.metric("ConcurrentExecutions", period=FIVE_MINUTES, statistic="Maximum"),
            {severity: limit * each / 100 for severity, each in percent.items()},
            why=f"More than {{:g}} of the {limit} instances {self._name} may have are busy.",
        )

    def _levels(
        self, what: str, metric: cloudwatch.IMetric, thresholds: Thresholds, why: str
    ) -> None:
        self._maker.levels(
            f"{self._name}-{what}",
            metric,
            thresholds,
            periods=1,
            why=why,
            runbook=f"function-{what}",
        )


class RotationAlarms(Construct):
    """A secret could not be rotated: the function that does it failed or was not let run.

    The old version of the secret stays valid, so nothing is broken yet. Secrets Manager calls the
    function again before the rotation's window closes.

    :param prefix: what the names of the alarms begin with.
    :param functions: what rotates which secret, e.g. `{"tokens": function}`.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_lambda as lambda_

        function = lambda_.Function(
            stack,
            "Rotate",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
        )
        llm.RotationAlarms(stack, "Alarms", prefix="handbook-prod", functions={"tokens": function})
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        functions: Mapping[str, lambda_.IFunction],
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        check(self, [(not functions, "functions is empty: no rotation would be watched.")])
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        for name, function in functions.items():
            maker.levels(
                f"rotation-{name}",
                _failures(function),
                {Severity.WARNING: 0},
                periods=1,
                why=f"The rotation of {name} has failed; the old version stays valid.",
                runbook="rotation",
            )
        self.alarms = maker.made


def _failures(function: lambda_.IFunction) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression="FILL(failed,0)+FILL(refused,0)",
        label="failed or refused invocations",
        period=HOUR,
        using_metrics={
            "failed": function.metric_errors(period=HOUR, statistic="Sum"),
            "refused": function.metric_throttles(period=HOUR, statistic="Sum"),
        },
    )
