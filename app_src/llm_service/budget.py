"""What scoring may cost: a cap per release and day (UTC), over all its tasks.

By day, because a release that has served for weeks must still be scored when it is the baseline of
a rollout; a rollout costs at most the caps of its two arms for each day it lasts.

What a call may cost at most is set aside before it is made, and corrected to what it did cost, so
that tasks that call at once cannot pass the cap together; what stays unspent is less than what the
calls under way set aside. Without a database each process has the whole budget.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Protocol

from llm_service.database import Postgres

CREATE = """
CREATE TABLE IF NOT EXISTS scoring_spend (
    release text NOT NULL,
    day date NOT NULL,
    micro_usd double precision NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (release, day)
)
"""
RESERVE = """
INSERT INTO scoring_spend AS spend (release, day, micro_usd, calls)
SELECT $1, $4, $2::double precision, 1 WHERE $2 <= $3::double precision
ON CONFLICT (release, day) DO UPDATE SET micro_usd = spend.micro_usd + $2, calls = spend.calls + 1
WHERE spend.micro_usd + $2 <= $3
RETURNING micro_usd
"""
CORRECT = """
UPDATE scoring_spend SET micro_usd = micro_usd + $2
WHERE release = $1 AND day = $3 RETURNING micro_usd
"""


class Budget(Protocol):
    """Money in micro-dollars. Both raise Away while nobody can tell what is spent."""

    def today(self) -> date:
        """The day that a call made now is booked on."""
        ...

    async def reserve(self, most: float) -> date | None:
        """Sets `most` aside; the day it is booked on, None if that would pass the day's cap."""
        ...

    async def correct(self, day: date, by: float) -> None:
        """Adds to what is spent: what a call cost less what was set aside for it."""
        ...


def utc_today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


class ProcessBudget:
    """The budget of one process."""

    def __init__(self, cap: float, today: Callable[[], date] = utc_today) -> None:
        self._cap = cap
        self.today = today
        self._spent: dict[date, float] = {}

    @property
    def spent(self) -> float:
        """What is spent today."""
        return self._spent.get(self.today(), 0.0)

    async def reserve(self, most: float) -> date | None:
        day = self.today()
        if self._spent.get(day, 0.0) + most > self._cap:
            return None
        self._spent = {day: self._spent.get(day, 0.0) + most}
        return day

    async def correct(self, day: date, by: float) -> None:
        if day in self._spent:
            self._spent[day] += by


class SharedBudget:
    """The budget of a release, in the database that its tasks share."""

    def __init__(
        self, postgres: Postgres, release: str, cap: float, today: Callable[[], date] = utc_today
    ) -> None:
        self._postgres, self._release, self._cap = postgres, release, cap
        self.today = today

    async def reserve(self, most: float) -> date | None:
        day = self.today()
        row = await self._postgres.row(RESERVE, self._release, most, self._cap, day)
        return None if row is None else day

    async def correct(self, day: date, by: float) -> None:
        await self._postgres.row(CORRECT, self._release, by, day)


def budget(postgres: Postgres | None, release: str, cap: float) -> Budget:
    """The budget of `release`; shared with its other tasks if there is a database."""
    return SharedBudget(postgres, release, cap) if postgres else ProcessBudget(cap)
