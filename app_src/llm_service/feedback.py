"""Users' thumbs, each tied to the answer it is about.

The answer may have been given by any task of either release under traffic: its release is looked
up, in this process's recent answers first (they may not be written yet) and then in the database
they share. The last thumb on an answer counts in the table; only the first one is published as a
metric, since CloudWatch cannot take a value back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Literal, NamedTuple

from llm_service.database import Away, Postgres, storable
from llm_service.errors import ApiError, unavailable
from llm_service.ledger import Ledger

Thumb = Literal["up", "down"]

REMEMBERED = 10_000
"""Answers of this process that are known without a database."""
LOOKUPS = (0.0, 0.15, 0.35, 0.7)
"""Seconds before each look into the database: another task writes its answers in batches."""

CREATE = """
CREATE TABLE IF NOT EXISTS feedback (
    response_id text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    release text NOT NULL,
    thumb text NOT NULL,
    comment text
)
"""
UPSERT = """
INSERT INTO feedback (response_id, release, thumb, comment) VALUES ($1, $2, $3, $4)
ON CONFLICT (response_id) DO UPDATE SET updated_at = now(), thumb = $3, comment = $4
RETURNING (xmax = 0) AS first
"""


class Given(NamedTuple):
    """A thumb that was taken: on which release's answer, and whether it is the first on it."""

    release: str
    first: bool


class Recent:
    """The last answers of this process, with the thumb each got where no database keeps it."""

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._capacity = capacity
        self._thumbs: OrderedDict[str, Thumb | None] = OrderedDict()

    def add(self, response_id: str) -> None:
        """Remembers an answer, and forgets the oldest one beyond the capacity."""
        self._thumbs[response_id] = None
        if len(self._thumbs) > self._capacity:
            self._thumbs.popitem(last=False)

    def __contains__(self, response_id: str) -> bool:
        return response_id in self._thumbs

    def give(self, response_id: str, thumb: Thumb) -> bool:
        """Whether this is the first thumb on a remembered answer."""
        first = self._thumbs[response_id] is None
        self._thumbs[response_id] = thumb
        return first


class Feedback:
    """Takes thumbs on answers of `release`, and with a database on those of all releases."""

    def __init__(self, release: str, ledger: Ledger | None, postgres: Postgres | None) -> None:
        self._release, self._ledger, self._postgres = release, ledger, postgres
        self.recent = Recent()

    async def give(self, response_id: str, thumb: Thumb, comment: str | None) -> Given:
        """Records the thumb; `comment` is free of personal data.

        Raises ApiError: 404 for an unknown answer, 503 while the database is away.
        """
        try:
            release = await self._release_of(response_id)
            if release is None:
                raise _unknown()
            if self._postgres is None:
                return Given(release, self.recent.give(response_id, thumb))
            kept = None if comment is None else storable(comment)
            row = await self._postgres.row(UPSERT, response_id, release, thumb, kept)
        except Away:
            raise unavailable("Feedback cannot be recorded now") from None
        return Given(release, bool(row["first"]))

    async def _release_of(self, response_id: str) -> str | None:
        if response_id in self.recent:
            return self._release
        if self._ledger is None or not response_id.isprintable():
            return None
        for pause in LOOKUPS:
            await asyncio.sleep(pause)
            if release := await self._ledger.release_of(response_id):
                return release
        return None


def _unknown() -> ApiError:
    return ApiError(
        404,
        "response_id: no answer has this id; send the id of a chat completion of this service.",
        code="response_not_found",
        param="response_id",
    )
