"""Money per token, per feature and for the whole service, by day (UTC).

A request asks for its `action` before the provider is called and `charge`s what the answer cost;
both are sums in memory. What the tasks spend together is exchanged in the background: every SYNC
seconds, and at once while a budget is nearly used. So a budget may be passed by the answers under
way in all tasks when it is reached, and by those that other tasks let in before the next exchange;
by no more. At 80, 90, 95 and 100 % one event each is told per day and subject, by one of the tasks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple, Protocol

from llm_service.auth import AtBudget, Principal
from llm_service.database import Away
from llm_service.limits.accounts import Account, BudgetEvent
from llm_service.limits.refusals import Limited, no_money
from llm_service.limits.spending import Spend
from llm_service.limits.ticker import Ticker

logger = logging.getLogger("llm_service")

SYNC = 1.0
"""Seconds between two exchanges with the other tasks."""
DAY = 86_400
KNOWN = 1_000
"""Pairs of a principal and a feature that are remembered."""

Action = Literal["ok", "warn", "cheaper", "refuse"]
STRENGTH: Mapping[Action, int] = {"ok": 0, "warn": 1, "cheaper": 2, "refuse": 3}


class Budgeted(Protocol):
    """What a feature says of its money."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def budget_micro_usd_per_day(self) -> float | None:
        """Its cap, None: no cap."""
        ...

    @property
    def at_budget(self) -> AtBudget:
        """What happens beyond it."""
        ...

    @property
    def cheaper(self) -> Sequence[str]:
        """Models to ask once money is short."""
        ...


class Pair(NamedTuple):
    """Whose request of what, and the budgets it counts on."""

    principal: Principal
    feature: Budgeted
    accounts: tuple[Account, ...]


class Budgets:
    """All budgets of a process; `limit` and `at_limit` are the whole service's, None: no cap.

    `spend` is what the tasks share; without it the process has each budget for itself.
    """

    def __init__(
        self,
        limit: float | None = None,
        at_limit: AtBudget = "refuse",
        *,
        spend: Spend | None = None,
        on_event: Callable[[BudgetEvent], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._spend, self._on_event = clock, spend, on_event
        self._ticker = Ticker(self.exchange, SYNC, "budgets")
        self._accounts: dict[str, Account] = {}
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._unsent: list[tuple[date, dict[str, float]]] = []
        self._unclaimed: list[BudgetEvent] = []
        self._away = False
        self._ends, self._day = 0.0, date.min
        self._service = None if limit is None else self._account("service", limit, at_limit)
        self._roll()

    def action(self, principal: Principal, feature: Budgeted) -> Action:
        """What to do with a request: the strongest of what its spent budgets say. A feature
        without cheaper models refuses instead."""
        if self._clock() >= self._ends:
            self._roll()
        found: Action = "ok"
        for account in self._of(principal, feature):
            if account.spent < account.limit:
                continue
            if STRENGTH[account.action] > STRENGTH[found]:
                found = account.action
        return "refuse" if found == "cheaper" and not feature.cheaper else found

    def state(self, principal: Principal, feature: Budgeted) -> Literal["ok", "over"]:
        """Whether a budget of the request is spent."""
        return "ok" if self.action(principal, feature) == "ok" else "over"

    def refusal(self, principal: Principal, feature: Budgeted) -> Limited:
        """429 `insufficient_quota`, for a request whose `action` is to refuse."""
        spent = [one for one in self._of(principal, feature) if one.spent >= one.limit]
        refusing = [one.subject for one in spent if one.action != "warn"]
        kind = refusing[0].partition(":")[0] if refusing else "service"
        return no_money(f"this {kind}", self._ends - self._clock())

    def charge(self, principal: Principal, feature: Budgeted, micro_usd: float) -> None:
        """Books what an answer cost, on the day it ended."""
        if self._clock() >= self._ends:
            self._roll()
        for account in self._of(principal, feature):
            account.charge(micro_usd)
            if account.spent >= account.next:
                self._tell(account)
            if account.spent >= account.urgent:
                self._ticker.hurry()

    def start(self) -> None:
        """Begins to exchange with the other tasks, if there is what they share."""
        if self._spend is not None:
            self._ticker.start()

    async def stop(self) -> None:
        """Ends; what was charged is written first."""
        await self._ticker.stop()

    def report(self) -> dict[str, Any]:
        """How it stands, for a person: the used share of each budget."""
        used = {
            account.subject: round(account.spent / account.limit, 4) if account.limit else 1.0
            for account in self._accounts.values()
        }
        store = self._spend.name if self._spend else "process"
        return {"store": store, "away": self._away, "used": used}

    async def exchange(self) -> None:
        """Tells the other tasks what was charged here, and learns what they spent."""
        if self._spend is None:
            return
        try:
            await self._send_yesterday(self._spend)
            await self._exchange_today(self._spend)
            await self._claim(self._spend)
        except Away:
            self._away = True
            return
        self._away = False

    async def _send_yesterday(self, spend: Spend) -> None:
        while self._unsent:
            await spend.add(*self._unsent[0])
            del self._unsent[0]

    async def _exchange_today(self, spend: Spend) -> None:
        if not self._accounts:
            return
        self._roll()
        day = self._day
        told = {subject: account.pending for subject, account in self._accounts.items()}
        totals = await spend.add(day, told)
        if day != self._day:  # midnight passed meanwhile: what was told is among the unsent too
            self._forget(day, told)
            return
        for subject, total in totals.items():
            account = self._accounts[subject]
            account.learn(total, told[subject])
            self._tell(account)

    def _forget(self, day: date, told: Mapping[str, float]) -> None:
        for unsent, charges in self._unsent:
            if unsent == day:
                for subject, amount in told.items():
                    charges[subject] = charges.get(subject, 0.0) - amount

    async def _claim(self, spend: Spend) -> None:
        """Tells the events that no other task has told."""
        while self._unclaimed:
            event = self._unclaimed[0]
            mine = await spend.first(event.subject, event.day, event.percent)
            del self._unclaimed[0]
            if mine:
                self._publish(event)

    def _tell(self, account: Account) -> None:
        for event in account.pass_thresholds(self._day):
            if self._spend is None:
                self._publish(event)
            else:
                self._unclaimed.append(event)
                self._ticker.hurry()

    def _publish(self, event: BudgetEvent) -> None:
        logger.warning(
            "%d %% of the day's budget of %s is spent (%g of %g micro-dollars); at 100 %%: %s",
            event.percent,
            event.subject,
            round(event.spent, 4),
            event.limit,
            event.action,
        )
        if self._on_event:
            self._on_event(event)

    def _of(self, principal: Principal, feature: Budgeted) -> tuple[Account, ...]:
        """The accounts of a request. Looked up by identity: what is known holds on to both, so
        that no other object can have theirs."""
        known = self._pairs.get((id(principal), id(feature)))
        return known.accounts if known is not None else self._pair(principal, feature)

    def _pair(self, principal: Principal, feature: Budgeted) -> tuple[Account, ...]:
        asked = (
            (f"token:{principal.name}", principal.budget_micro_usd_per_day, principal.at_budget),
            (f"feature:{feature.name}", feature.budget_micro_usd_per_day, feature.at_budget),
        )
        found = [self._account(name, cap, do) for name, cap, do in asked if cap is not None]
        if self._service:
            found.append(self._service)
        if len(self._pairs) >= KNOWN:
            self._pairs.clear()
        self._pairs[id(principal), id(feature)] = Pair(principal, feature, tuple(found))
        return tuple(found)

    def _account(self, subject: str, limit: float, action: AtBudget) -> Account:
        """The account of `subject`; a cap that changed keeps what is spent."""
        account = self._accounts.get(subject)
        if account is None:
            account = self._accounts[subject] = Account(subject, limit, action)
            self._ticker.hurry()
        account.change(limit, action)
        return account

    def _roll(self) -> None:
        """Begins the day that it is."""
        now = self._clock()
        today = datetime.fromtimestamp(now, UTC).date()
        if today == self._day:
            return
        pending = {one.subject: one.pending for one in self._accounts.values() if one.pending}
        if pending and self._spend is not None:
            self._unsent.append((self._day, pending))
        self._day, self._ends = today, (now // DAY + 1) * DAY
        for account in self._accounts.values():
            account.open()
