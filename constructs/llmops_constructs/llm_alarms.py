"""Alarms of what a language model does to a service: providers that fail, users who are unhappy,
money.

Few requests make bad statistics: shares are only judged once there are enough of what they count,
so that one failure in a quiet hour wakes nobody.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.alarms import (
    BELOW,
    REACHED,
    RUNBOOK,
    AlarmMaker,
    Severity,
    Thresholds,
    Topics,
)
from llmops_constructs.measures import MICRO_USD, ServiceTotals

PROVIDER_PERCENT: Thresholds = {Severity.WARNING: 5, Severity.CRITICAL: 25}
FEEDBACK_SHARE: Thresholds = {Severity.WARNING: 0.7, Severity.CRITICAL: 0.5}

SPEND_PERCENT: Mapping[int, Severity] = {
    80: Severity.WARNING,
    90: Severity.WARNING,
    95: Severity.CRITICAL,
    100: Severity.CRITICAL,
}
"""The percents of a budget at which somebody is told: those at which the service tells its own."""

PROVIDER_PERIOD = cdk.Duration.minutes(5)
FEEDBACK_PERIOD = cdk.Duration.hours(6)
DAY = cdk.Duration.days(1)


class ProviderAlarms(Construct):
    """Calls of LLM providers that failed, and those of them that ran into a time-out.

    The service asks another provider when one fails, so users need not have noticed: these alarms
    come before the service's own errors.

    :param prefix: what the names of the alarms begin with.
    :param percent: failed calls per 100 requests, over two of three periods of five minutes.
        Default: a ticket at 5, a page at 25.
    :param least: failures in five minutes below which no share is judged.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_logs as logs

        group = logs.LogGroup(stack, "Logs")
        totals = llm.ServiceTotals(stack, "Totals", prefix="handbook-prod", log_group=group)
        llm.ProviderAlarms(stack, "Providers", prefix="handbook-prod", totals=totals)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        totals: ServiceTotals,
        percent: Thresholds = PROVIDER_PERCENT,
        least: int = 5,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        check(
            self, [*_shares(percent, 100), (least < 1, f"least is {least}; it must be 1 or more.")]
        )
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        for what, metric, name in (
            ("provider-errors", "ProviderErrors", "fail"),
            ("provider-timeouts", "ProviderTimeouts", "time out"),
        ):
            maker.levels(
                what,
                _percent(totals, metric, least),
                percent,
                periods=3,
                of_which=2,
                why=f"Calls of LLM providers {name}: more than {{:g}} per 100 requests.",
            )
        self.alarms = maker.made


class FeedbackAlarms(Construct):
    """The share of thumbs that are up has dropped.

    :param prefix: what the names of the alarms begin with.
    :param share: of the thumbs of six hours, 0 to 1. Default: a ticket below 0.7, a page below 0.5.
    :param least: thumbs in six hours below which nothing is judged.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_logs as logs

        group = logs.LogGroup(stack, "Logs")
        totals = llm.ServiceTotals(stack, "Totals", prefix="handbook-prod", log_group=group)
        llm.FeedbackAlarms(stack, "Feedback", prefix="handbook-prod", totals=totals, least=20)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        totals: ServiceTotals,
        share: Thresholds = FEEDBACK_SHARE,
        least: int = 10,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        check(self, [*_shares(share, 1), (least < 1, f"least is {least}; it must be 1 or more.")])
        score = cloudwatch.MathExpression(
            expression=f"IF(thumbs >= {least}, score, 1)",
            label="share of thumbs that are up",
            period=FEEDBACK_PERIOD,
            using_metrics={
                "thumbs": totals.metric("Feedback", "SampleCount", FEEDBACK_PERIOD),
                "score": totals.metric("Feedback", "Average", FEEDBACK_PERIOD),
            },
        )
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        maker.levels(
            "feedback-score",
            score,
            share,
            periods=1,
            comparison=BELOW,
            why="Fewer than {:.0%} of the thumbs of six hours are up.",
        )
        self.alarms = maker.made


class SpendAlarms(Construct):
    """Money for answers and scores at 80, 90, 95 and 100 % of a budget, and budgets that are spent.

    The money is that of any 24 hours, not of a calendar day.
    The budgets of the service itself (DAY_BUDGET_MICRO_USD, of tokens, of features) are of a day in
    UTC and are kept to the minute; `budget-spent` tells when one of them has reached 100 %.

    :param prefix: what the names of the alarms begin with.
    :param daily_budget_usd: US dollars in 24 hours, by the service's price table.
    :param topics: who is told; default: nobody.
    :param runbook_url: the page each alarm links a section of. Default: the one in the project.

    Example::

        from aws_cdk import aws_logs as logs

        group = logs.LogGroup(stack, "Logs")
        totals = llm.ServiceTotals(stack, "Totals", prefix="handbook-prod", log_group=group)
        llm.SpendAlarms(
            stack, "Spend", prefix="handbook-prod", totals=totals, daily_budget_usd=25
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        totals: ServiceTotals,
        daily_budget_usd: float,
        topics: Topics | None = None,
        runbook_url: str = RUNBOOK,
    ) -> None:
        super().__init__(scope, id)
        broken = daily_budget_usd <= 0
        check(self, [(broken, f"daily_budget_usd is {daily_budget_usd}; it must be above 0.")])
        maker = AlarmMaker(self, prefix=prefix, topics=topics, runbook_url=runbook_url)
        for percent, severity in SPEND_PERCENT.items():
            maker.one(
                f"spend-{percent}-{severity.suffix}",
                totals.metric("Spend", "Sum", DAY),
                severity=severity,
                threshold=daily_budget_usd * MICRO_USD * percent / 100,
                periods=1,
                comparison=REACHED,
                why=f"{percent} % of {daily_budget_usd:g} USD are spent on models in 24 hours.",
                runbook="spend",
            )
        maker.levels(
            "budget-spent",
            totals.metric("BudgetsSpent", "Sum", PROVIDER_PERIOD),
            {Severity.WARNING: 1},
            periods=1,
            comparison=REACHED,
            why="The day's budget of a token, a feature or the service is spent.",
        )
        self.alarms = maker.made


def _percent(totals: ServiceTotals, metric: str, least: int) -> cloudwatch.MathExpression:
    """Failures per 100 requests; 0 where there are fewer than `least` failures."""
    return cloudwatch.MathExpression(
        expression=f"IF(failed >= {least}, 100*failed/requests, 0)",
        label=f"{metric} per 100 requests",
        period=PROVIDER_PERIOD,
        using_metrics={
            "failed": totals.metric(metric, "Sum", PROVIDER_PERIOD),
            "requests": totals.metric("Requests", "Sum", PROVIDER_PERIOD),
        },
    )


def _shares(thresholds: Thresholds, whole: float) -> list[Rule]:
    return [
        (not thresholds, "No threshold is given: no alarm would ever fire."),
        *(
            (outside(value, 0, whole), f"The threshold {value} is not between 0 and {whole:g}.")
            for value in thresholds.values()
        ),
    ]
