"""What the whole of a service costs on AWS, by AWS's own bill.

AWS Budgets looks at the bill a few times a day, so it tells hours late; the money for models that
AWS does not bill is in SpendAlarms.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from llmops_constructs._validation import check
from llmops_constructs.alarms import Topics
from llmops_constructs.llm_alarms import SPEND_PERCENT
from llmops_constructs.names import resource_name


class BudgetAlarms(Construct):
    """A budget a day and one a month; each tells at 80, 90, 95 and 100 %.

    :param prefix: what the names of the budgets begin with.
    :param topics: who is told: the topic for tickets at 80 and 90 %, the one for pages above.
    :param daily_usd: US dollars a day. Default: no such budget.
    :param monthly_usd: US dollars a month. Default: no such budget.
    :param tags: cost allocation tags, of which all must fit, e.g. `{"service": "handbook"}`. They
        must be activated in the account that pays, else nothing is counted. Default: all that the
        account costs.

    Example::

        topics = llm.AlarmTopics(stack, "Topics", prefix="handbook-prod")
        llm.BudgetAlarms(
            stack,
            "Budgets",
            prefix="handbook-prod",
            topics=topics,
            monthly_usd=300,
            tags={"service": "handbook", "environment": "prod"},
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        topics: Topics,
        daily_usd: float | None = None,
        monthly_usd: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, id)
        limits = {"DAILY": daily_usd, "MONTHLY": monthly_usd}
        check(
            self,
            [
                (
                    daily_usd is None and monthly_usd is None,
                    "Neither daily_usd nor monthly_usd is given: there is nothing to watch.",
                ),
                *(
                    (limit is not None and limit <= 0, f"The {unit.lower()} budget is {limit} USD.")
                    for unit, limit in limits.items()
                ),
            ],
        )
        self.budgets = [
            self._budget(prefix, unit, limit, tags or {}, topics)
            for unit, limit in limits.items()
            if limit is not None
        ]

    def _budget(
        self, prefix: str, unit: str, limit: float, tags: Mapping[str, str], topics: Topics
    ) -> budgets.CfnBudget:
        return budgets.CfnBudget(
            self,
            unit.capitalize(),
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=resource_name(prefix, unit.lower()),
                budget_type="COST",
                time_unit=unit,
                budget_limit=budgets.CfnBudget.SpendProperty(amount=limit, unit="USD"),
                filter_expression=_tagged(tags),
                metrics=["UnblendedCost"] if tags else None,
            ),
            notifications_with_subscribers=_notifications(topics),
        )


def _notifications(
    topics: Topics,
) -> list[budgets.CfnBudget.NotificationWithSubscribersProperty]:
    return [
        budgets.CfnBudget.NotificationWithSubscribersProperty(
            notification=budgets.CfnBudget.NotificationProperty(
                notification_type="ACTUAL",
                comparison_operator="GREATER_THAN",
                threshold=percent,
                threshold_type="PERCENTAGE",
            ),
            subscribers=[
                budgets.CfnBudget.SubscriberProperty(
                    subscription_type="SNS", address=topics.topic(severity).topic_arn
                )
            ],
        )
        for percent, severity in SPEND_PERCENT.items()
    ]


def _tagged(tags: Mapping[str, str]) -> budgets.CfnBudget.ExpressionProperty | None:
    """What must be true of a cost to be counted; None: nothing."""
    each = [
        budgets.CfnBudget.ExpressionProperty(
            tags=budgets.CfnBudget.TagValuesProperty(
                key=key, values=[value], match_options=["EQUALS"]
            )
        )
        for key, value in tags.items()
    ]
    if len(each) > 1:
        return budgets.CfnBudget.ExpressionProperty(and_=each)
    return each[0] if each else None
