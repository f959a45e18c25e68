import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from aws_cdk.assertions import Template
from botocore.validate import ParamValidator
from policies import findings

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.budgets import BudgetAlarms
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.notifications import AlarmTopics

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]

PREFIX = "handbook-test"


@pytest.fixture(scope="module")
def ground(new_stack: Stacks) -> tuple[ExplicitStack, AlarmTopics, list[str]]:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias=PREFIX).key
    topics = AlarmTopics(stack, "Topics", prefix=PREFIX, encryption_key=key)
    tags = {"service": "handbook", "environment": "test"}
    BudgetAlarms(
        stack, "Tagged", prefix=PREFIX, topics=topics, daily_usd=10, monthly_usd=250, tags=tags
    )
    BudgetAlarms(
        stack, "One", prefix="one", topics=topics, daily_usd=1, tags={"service": "handbook"}
    )
    return stack, topics, findings(stack)


@pytest.fixture(scope="module")
def budgets(
    ground: tuple[ExplicitStack, AlarmTopics, list[str]], synthesized: Synthesized
) -> dict[str, dict[str, Any]]:
    template = synthesized(ground[0])
    return {
        each["Properties"]["Budget"]["BudgetName"]: each["Properties"]
        for each in template.find_resources("AWS::Budgets::Budget").values()
    }


def test_a_day_and_a_month_have_a_budget_each(budgets: dict[str, dict[str, Any]]) -> None:
    limits = {
        name: (each["Budget"]["TimeUnit"], each["Budget"]["BudgetLimit"]["Amount"])
        for name, each in budgets.items()
    }
    assert limits == {
        f"{PREFIX}-daily": ("DAILY", 10),
        f"{PREFIX}-monthly": ("MONTHLY", 250),
        "one-daily": ("DAILY", 1),
    }


def test_tickets_come_before_pages(budgets: dict[str, dict[str, Any]]) -> None:
    told = {
        notification["Notification"]["Threshold"]: subscriber["Address"]["Ref"]
        for notification in budgets[f"{PREFIX}-daily"]["NotificationsWithSubscribers"]
        for subscriber in notification["Subscribers"]
    }
    assert list(told) == [80, 90, 95, 100]
    assert ["Warning" in each for each in told.values()] == [True, True, False, False]


def test_only_costs_with_all_the_tags_count(budgets: dict[str, dict[str, Any]]) -> None:
    budget = budgets[f"{PREFIX}-monthly"]["Budget"]
    tags = [each["Tags"] for each in budget["FilterExpression"]["And"]]
    assert [(each["Key"], each["Values"]) for each in tags] == [
        ("service", ["handbook"]),
        ("environment", ["test"]),
    ]
    assert budget["Metrics"] == ["UnblendedCost"]
    assert budgets["one-daily"]["Budget"]["FilterExpression"]["Tags"]["Key"] == "service"


def test_aws_budgets_takes_what_is_asked(budgets: dict[str, dict[str, Any]]) -> None:
    """By the shapes of its API, which CloudFormation passes on; amounts are texts there."""
    shape = botocore.session.get_session().get_service_model("budgets").shape_for
    for each in budgets.values():
        asked = json.loads(json.dumps(each["Budget"]))
        asked["BudgetLimit"]["Amount"] = str(asked["BudgetLimit"]["Amount"])
        report = ParamValidator().validate(asked, shape("Budget"))
        assert not report.has_errors(), report.generate_report()
        assert len(each["NotificationsWithSubscribers"]) <= 10


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({}, "Neither daily_usd nor monthly_usd"),
        ({"daily_usd": 0}, "The daily budget is 0 USD"),
        ({"monthly_usd": -1}, "The monthly budget is -1 USD"),
    ],
)
def test_a_budget_of_nothing_is_refused(
    ground: tuple[ExplicitStack, AlarmTopics, list[str]], limits: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidConstruct, match=told):
        BudgetAlarms(ground[0], f"Refused{told[-5:]}", prefix=PREFIX, topics=ground[1], **limits)


def test_the_packs_find_nothing(
    ground: tuple[ExplicitStack, AlarmTopics, list[str]],
) -> None:
    assert ground[2] == []


def test_the_smallest_form(new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot) -> None:
    stack = new_stack()
    topics = AlarmTopics(stack, "Topics", prefix=PREFIX)
    BudgetAlarms(stack, "Budgets", prefix=PREFIX, topics=topics, monthly_usd=35)
    snapshot(synthesized(stack), "budgets")
