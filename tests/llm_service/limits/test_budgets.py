"""Money by the day: thresholds, actions, and budgets that tasks share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.auth import AtBudget, Principal
from llm_service.database import Away, Postgres
from llm_service.limits import BudgetEvent, Budgets
from llm_service.limits.link import Valkey
from llm_service.limits.spending import PostgresSpend, Spend, ValkeySpend

WEB = Principal("web", budget_micro_usd_per_day=1_000)
DAY = date(2027, 1, 15)
"""The day of the standing clock."""


@dataclass(frozen=True)
class Feature:
    name: str = "answer"
    budget_micro_usd_per_day: float | None = None
    at_budget: AtBudget = "refuse"
    cheaper: Sequence[str] = ()


@pytest.fixture(params=["postgres", "valkey"])
def spend(request: pytest.FixtureRequest) -> Callable[[], Spend]:
    """Makes connections to what tasks share, of both kinds."""
    if request.param == "postgres":
        database: Postgres = request.getfixturevalue("database")
        return lambda: PostgresSpend(database)
    valkey: Valkey = request.getfixturevalue("valkey")
    return lambda: ValkeySpend(valkey)


def percents(events: list[BudgetEvent], subject: str = "token:web") -> list[int]:
    return [event.percent for event in events if event.subject == subject]


def test_each_threshold_is_told_once_a_day(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    events: list[BudgetEvent] = []
    budgets = Budgets(on_event=events.append, clock=clock)
    for _ in range(110):
        budgets.charge(WEB, Feature(), 10)
    assert percents(events) == [80, 90, 95, 100]
    assert events[0] == BudgetEvent("token:web", DAY, 80, 800.0, 1_000, "refuse")
    assert "80 % of the day's budget of token:web is spent" in caplog.text
    clock.now += 86_400
    budgets.charge(WEB, Feature(), 1_000)
    assert percents(events) == [80, 90, 95, 100] * 2


@given(st.lists(st.floats(0, 400), max_size=40))
def test_thresholds_come_in_order_and_only_when_they_are_reached(charges: list[float]) -> None:
    events: list[BudgetEvent] = []
    budgets = Budgets(on_event=events.append, clock=lambda: 1_800_000_000.0)
    spent = 0.0
    for charge in charges:
        budgets.charge(WEB, Feature(), charge)
        spent += charge
        assert percents(events) == [p for p in (80, 90, 95, 100) if spent >= 10 * p]
        assert (budgets.state(WEB, Feature()) == "over") == (spent >= 1_000)


@pytest.mark.parametrize(
    ("at_budget", "cheaper", "action"),
    [
        ("refuse", (), "refuse"),
        ("cheaper", ("embedded",), "cheaper"),
        ("cheaper", (), "refuse"),
        ("warn", (), "warn"),
    ],
)
def test_a_spent_budget_has_the_configured_action(
    clock: Any, at_budget: AtBudget, cheaper: Sequence[str], action: str
) -> None:
    feature = Feature("answer", 500, at_budget, cheaper)
    budgets = Budgets(clock=clock)
    budgets.charge(Principal("a"), feature, 499)
    assert budgets.action(Principal("b"), feature) == "ok"
    budgets.charge(Principal("a"), feature, 1)
    assert budgets.action(Principal("b"), feature) == action
    assert budgets.state(Principal("b"), Feature("other")) == "ok"


def test_the_strongest_action_of_token_feature_and_service_counts(clock: Any) -> None:
    feature = Feature("answer", 100, "cheaper", ("embedded",))
    budgets = Budgets(300, "refuse", clock=clock)
    token = Principal("web", budget_micro_usd_per_day=50, at_budget="warn")
    budgets.charge(token, feature, 50)
    assert budgets.action(token, feature) == "warn"
    budgets.charge(token, feature, 50)
    assert budgets.action(token, feature) == "cheaper"
    budgets.charge(token, feature, 200)
    assert budgets.action(token, feature) == "refuse"
    assert budgets.action(Principal("other"), Feature("other")) == "refuse"


def test_a_refusal_is_openais_insufficient_quota_until_midnight(clock: Any) -> None:
    budgets = Budgets(clock=clock)
    budgets.charge(WEB, Feature(), 1_000)
    error = budgets.refusal(WEB, Feature())
    assert (error.status, error.code, error.type) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert error.headers["retry-after"] == str(86_400 - int(clock.now) % 86_400)
    assert "budget of this token" in error.message


def test_the_next_day_has_a_budget_of_its_own(clock: Any) -> None:
    budgets = Budgets(clock=clock)
    budgets.charge(WEB, Feature(), 1_000)
    assert budgets.state(WEB, Feature()) == "over"
    clock.now += 86_400
    assert budgets.state(WEB, Feature()) == "ok"


def test_a_budget_of_nothing_is_spent_from_the_start(clock: Any) -> None:
    assert Budgets(0, clock=clock).action(WEB, Feature()) == "refuse"


def test_a_raised_cap_keeps_what_is_spent(clock: Any) -> None:
    budgets = Budgets(clock=clock)
    budgets.charge(WEB, Feature(), 1_000)
    raised = Principal("web", budget_micro_usd_per_day=2_000)
    assert budgets.state(raised, Feature()) == "ok"
    budgets.charge(raised, Feature(), 1_000)
    assert budgets.state(raised, Feature()) == "over"


async def test_tasks_learn_what_the_others_spent_and_one_of_them_tells_each_threshold(
    spend: Callable[[], Spend], clock: Any
) -> None:
    events: list[BudgetEvent] = []
    tasks = [Budgets(spend=spend(), on_event=events.append, clock=clock) for _ in range(3)]
    for _ in range(10):
        for task in tasks:
            task.charge(WEB, Feature(), 40)
        await asyncio.gather(*(task.exchange() for task in tasks))
        await asyncio.gather(*(task.exchange() for task in tasks))
    assert [task.report()["used"]["token:web"] for task in tasks] == [1.2] * 3
    assert sorted(percents(events)) == [80, 90, 95, 100]
    assert all(task.state(WEB, Feature()) == "over" for task in tasks)


async def test_a_budget_is_passed_by_no_more_than_one_exchange_lets_in(
    spend: Callable[[], Spend], clock: Any
) -> None:
    tasks, cost, burst, spent = [Budgets(spend=spend(), clock=clock) for _ in range(4)], 7.0, 3, 0.0
    for _ in range(100):
        for task in tasks:
            for _ in range(burst):
                if task.state(WEB, Feature()) == "ok":
                    task.charge(WEB, Feature(), cost)
                    spent += cost
        await asyncio.gather(*(task.exchange() for task in tasks))
        await asyncio.gather(*(task.exchange() for task in tasks))
    assert 1_000 <= spent <= 1_000 + len(tasks) * burst * cost


async def test_tasks_in_the_background_stop_soon_after_the_cap(
    spend: Callable[[], Spend], clock: Any
) -> None:
    tasks = [Budgets(spend=spend(), clock=clock) for _ in range(4)]
    spent, rounds = 0, 0
    for task in tasks:
        task.start()
    async with asyncio.timeout(20):
        while any(task.state(WEB, Feature()) == "ok" for task in tasks):
            rounds += 1
            for task in tasks:
                if task.state(WEB, Feature()) == "ok":
                    task.charge(WEB, Feature(), 1)
                    spent += 1
            await asyncio.sleep(0.003)
    for task in tasks:
        await task.stop()
    assert 1_000 <= spent < 2 * 1_000


async def test_a_new_task_knows_what_was_spent_today_after_its_first_exchange(
    spend: Callable[[], Spend], clock: Any
) -> None:
    old = Budgets(spend=spend(), clock=clock)
    old.charge(WEB, Feature(), 1_000)
    await old.exchange()
    events: list[BudgetEvent] = []
    new = Budgets(spend=spend(), on_event=events.append, clock=clock)
    assert new.state(WEB, Feature()) == "ok"
    await new.exchange()
    assert new.state(WEB, Feature()) == "over"
    assert events == []


async def test_what_was_charged_before_midnight_is_booked_on_its_day(
    spend: Callable[[], Spend], clock: Any
) -> None:
    shared = spend()
    budgets = Budgets(spend=shared, clock=clock)
    budgets.charge(WEB, Feature(), 300)
    clock.now += 86_400
    budgets.charge(WEB, Feature(), 20)
    await budgets.exchange()
    assert await shared.add(DAY, {"token:web": 0}) == {"token:web": 300}
    assert await shared.add(date(2027, 1, 16), {"token:web": 0}) == {"token:web": 20}


class Moody:
    """Spend that is away while `away`, and takes what midnight does to it."""

    name = "moody"

    def __init__(self) -> None:
        self.away = True
        self.totals: dict[tuple[date, str], float] = {}
        self.before: Callable[[], None] = lambda: None

    async def add(self, day: date, charges: Any) -> dict[str, float]:
        if self.away:
            raise Away
        for subject, amount in charges.items():
            self.totals[day, subject] = self.totals.get((day, subject), 0.0) + amount
        self.before()
        return {subject: self.totals[day, subject] for subject in charges}

    async def first(self, subject: str, day: date, percent: int) -> bool:
        if self.away:
            raise Away
        return True


async def test_a_store_that_is_away_costs_nothing_and_nothing_is_lost(clock: Any) -> None:
    store, events = Moody(), list[BudgetEvent]()
    budgets = Budgets(spend=store, on_event=events.append, clock=clock)
    budgets.charge(WEB, Feature(), 600)
    await budgets.exchange()
    assert budgets.report() == {"store": "moody", "away": True, "used": {"token:web": 0.6}}
    budgets.charge(WEB, Feature(), 400)
    assert budgets.state(WEB, Feature()) == "over"
    store.away = False
    await budgets.exchange()
    assert store.totals == {(DAY, "token:web"): 1_000}
    assert percents(events) == [80, 90, 95, 100]


async def test_midnight_during_an_exchange_books_nothing_twice(clock: Any) -> None:
    store = Moody()
    store.away = False
    budgets = Budgets(spend=store, clock=clock)
    budgets.charge(WEB, Feature(), 600)

    def midnight() -> None:
        store.before = lambda: None
        clock.now += 86_400
        budgets.charge(WEB, Feature(), 5)

    store.before = midnight
    await budgets.exchange()
    await budgets.exchange()
    assert store.totals == {
        (DAY, "token:web"): 600,
        (date(2027, 1, 16), "token:web"): 5,
    }
