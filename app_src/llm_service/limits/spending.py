"""What all tasks spent in a day, in the store that they share.

A charge whose answer got lost is told again, so a store may know of more than was spent, never of
less: a budget errs on the side of its cap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Protocol

from llm_service.database import Postgres
from llm_service.limits.link import Valkey

KEPT = 3 * 86_400
"""Seconds for which Valkey keeps a day's spend."""

CREATE = """
CREATE TABLE IF NOT EXISTS spend (
    subject text NOT NULL,
    day date NOT NULL,
    micro_usd double precision NOT NULL,
    PRIMARY KEY (subject, day)
);
CREATE TABLE IF NOT EXISTS budget_events (
    subject text NOT NULL,
    day date NOT NULL,
    percent smallint NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, day, percent)
)
"""
ADD = """
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::double precision[]) AS asked (subject, micro_usd)
), added AS (
    INSERT INTO spend AS known (subject, day, micro_usd)
    SELECT subject, $3, micro_usd FROM asked WHERE micro_usd <> 0 ORDER BY subject
    ON CONFLICT (subject, day) DO UPDATE SET micro_usd = known.micro_usd + excluded.micro_usd
    RETURNING subject, micro_usd
), totals AS (
    SELECT * FROM added
    UNION ALL
    SELECT spend.subject, spend.micro_usd FROM spend JOIN asked USING (subject)
    WHERE spend.day = $3 AND asked.micro_usd = 0
)
SELECT json_object_agg(subject, micro_usd)::text AS totals FROM totals
"""
FIRST = """
INSERT INTO budget_events (subject, day, percent) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING subject
"""


class Spend(Protocol):
    """What the tasks share. Both raise Away where it cannot be reached."""

    name: str

    async def add(self, day: date, charges: Mapping[str, float]) -> dict[str, float]:
        """Books `charges` (micro-dollars by subject, 0 to ask); the day's totals of subjects that
        have any."""
        ...

    async def first(self, subject: str, day: date, percent: int) -> bool:
        """Whether this is the first to say that `subject` has used `percent` of its budget."""
        ...


class PostgresSpend:
    """In the database; `CREATE` makes the tables."""

    name = "postgres"

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def add(self, day: date, charges: Mapping[str, float]) -> dict[str, float]:
        ask = self._postgres.row if any(charges.values()) else self._postgres.look
        row = await ask(ADD, list(charges), list(charges.values()), day)
        totals: dict[str, float] = json.loads((row and row["totals"]) or "{}")
        return totals

    async def first(self, subject: str, day: date, percent: int) -> bool:
        return await self._postgres.row(FIRST, subject, day, percent) is not None


class ValkeySpend:
    """In Valkey: a hash of each day's subjects, and a set of what was told of it."""

    name = "valkey"

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey

    async def add(self, day: date, charges: Mapping[str, float]) -> dict[str, float]:
        key = f"{self._valkey.prefix}spend:{day}"
        charged = [(subject, amount) for subject, amount in charges.items() if amount]
        commands: list[list[object]] = [
            ["HINCRBYFLOAT", key, subject, repr(amount)] for subject, amount in charged
        ]
        answers = await self._valkey.many(
            [*commands, ["EXPIRE", key, KEPT], ["HMGET", key, *charges]]
        )
        totals = zip(charges, answers[-1], strict=True)
        return {subject: float(total) for subject, total in totals if total is not None}

    async def first(self, subject: str, day: date, percent: int) -> bool:
        key = f"{self._valkey.prefix}told:{day}"
        added, _ = await self._valkey.many(
            [["SADD", key, f"{subject} {percent}"], ["EXPIRE", key, KEPT]]
        )
        return bool(added)
