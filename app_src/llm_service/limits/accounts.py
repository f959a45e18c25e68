"""One budget of one day, and the events at its thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from llm_service.auth import AtBudget

THRESHOLDS = (80, 90, 95, 100)
"""Percent of a budget at which an event is told."""
URGENT = 0.9
"""The share of a budget from which on every charge is exchanged at once."""


class BudgetEvent(NamedTuple):
    """`subject` ("token:web", "feature:answer", "service") has used `percent` of its `limit`
    (micro-dollars) on `day`; `action` is what happens at 100."""

    subject: str
    day: date
    percent: int
    spent: float
    limit: float
    action: AtBudget


class Account:
    """One budget. `spent` is what is known of all tasks with what this one added, `pending` the
    part that the others do not know yet; micro-dollars."""

    __slots__ = ("action", "limit", "next", "pending", "reached", "spent", "subject", "urgent")

    def __init__(self, subject: str, limit: float, action: AtBudget) -> None:
        self.subject = subject
        self.limit, self.action, self.urgent = limit, action, limit * URGENT
        self.open()

    def change(self, limit: float, action: AtBudget) -> None:
        """Sets another cap; what is spent stays."""
        if (limit, action) != (self.limit, self.action):
            self.limit, self.action, self.urgent = limit, action, limit * URGENT
            self.next = self._at(self.reached)

    def open(self) -> None:
        """Begins a day."""
        self.spent, self.pending, self.reached = 0.0, 0.0, 0
        self.next = self._at(0)

    def charge(self, micro_usd: float) -> None:
        """Books on it."""
        self.spent += micro_usd
        self.pending += micro_usd

    def learn(self, total: float, told: float) -> None:
        """All tasks have spent `total`, `told` of what was pending here among it."""
        self.pending -= told
        self.spent = total + self.pending

    def pass_thresholds(self, day: date) -> Iterator[BudgetEvent]:
        """The events of thresholds reached since the last call."""
        while self.spent >= self.next:
            percent = THRESHOLDS[self.reached]
            self.reached += 1
            self.next = self._at(self.reached)
            yield BudgetEvent(self.subject, day, percent, self.spent, self.limit, self.action)

    def _at(self, number: int) -> float:
        """The money at which the threshold of that number is reached."""
        if number == len(THRESHOLDS):
            return float("inf")
        return self.limit * THRESHOLDS[number] / 100
