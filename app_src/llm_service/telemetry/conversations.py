"""Conversations in PostgreSQL: redacted questions and answers, for as long as the settings say.

Requests only append to a bounded queue; a task writes it in batches, over the pool that the ledger
uses too. What is older than the retention is deleted in batches, by whichever task of the service
holds the advisory lock at that moment, so that two do not do the same work.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from llm_service.database import Away, Postgres, storable
from llm_service.telemetry.exchange import Exchange, Thumb

logger = logging.getLogger("llm_service")

CAPACITY = 10_000
BATCH = 500
LINGER = 0.1
"""Seconds that conversations collect before they are written together."""
RETRY = 1.0
"""Seconds between two attempts while the database is away."""
STOP = 5.0
SWEEP = 3600.0
"""Seconds between two looks for what is too old."""
DELETED = 1_000
"""Rows that one statement deletes; it has three seconds."""
LOCK = 0x6C6C6D6F7074

CREATE = """
CREATE TABLE IF NOT EXISTS conversations (
    response_id text PRIMARY KEY,
    created_at timestamptz NOT NULL,
    release text NOT NULL,
    feature text NOT NULL,
    user_hash text NOT NULL,
    session_hash text NOT NULL,
    question text NOT NULL,
    answer text NOT NULL,
    source_ids text[] NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    cost_micro_usd double precision,
    latency_ms double precision NOT NULL
)
"""
INDEX = "CREATE INDEX IF NOT EXISTS conversations_created_at ON conversations (created_at)"
INSERT = """
INSERT INTO conversations
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING
"""
DELETE = """
WITH held AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine),
old AS (
    SELECT response_id FROM conversations
    WHERE created_at < $2 AND (SELECT mine FROM held) LIMIT $3
),
gone AS (
    DELETE FROM conversations USING old
    WHERE conversations.response_id = old.response_id RETURNING 1
)
SELECT count(*) AS deleted FROM gone
"""


class Conversation(NamedTuple):
    """One answered request, in the order of the table's columns."""

    response_id: str
    created_at: datetime
    release: str
    feature: str
    user_hash: str
    session_hash: str
    question: str
    answer: str
    source_ids: list[str]
    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: float | None
    latency_ms: float


def conversation(exchange: Exchange, release: str) -> Conversation:
    """What is kept of a request."""
    return Conversation(
        exchange.response_id,
        datetime.fromtimestamp(exchange.at, UTC),
        release,
        exchange.feature,
        exchange.user,
        exchange.session,
        storable(exchange.question),
        storable(exchange.answer),
        list(exchange.sources),
        exchange.provider,
        exchange.model,
        exchange.usage.prompt,
        exchange.usage.completion,
        exchange.cost,
        exchange.seconds * 1000,
    )


class ConversationSink:
    """Writes conversations of `release` to `postgres` and deletes them after `days`.

    Whoever made `postgres` connects it, with CREATE and INDEX among its tables.
    """

    def __init__(
        self,
        postgres: Postgres,
        release: str,
        days: int,
        *,
        capacity: int = CAPACITY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._postgres, self._release, self._capacity, self._now = postgres, release, capacity, now
        self._kept = timedelta(days=days)
        self._queue: deque[Conversation] = deque()
        self._more = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped = self.failed = self.handled = self.deleted = 0

    def start(self) -> None:
        """Begins to write and to delete."""
        self._tasks = [
            asyncio.create_task(self._run(), name="conversations"),
            asyncio.create_task(self._sweep(), name="retention"),
        ]

    def offer(self, exchange: Exchange) -> None:
        """Queues an answered request, unless its feature says no."""
        if not exchange.answered or not exchange.log:
            return
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(conversation(exchange, self._release))
        self._more.set()

    def feedback(self, thumb: Thumb) -> None:
        """Thumbs have a table of their own."""

    async def stop(self) -> None:
        """Writes what is queued for at most STOP seconds."""
        self._closing = True
        self._more.set()
        if self._tasks:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._tasks[0], STOP)
            self._tasks[1].cancel()
        if self._queue:
            self.dropped += len(self._queue)
            logger.error("%d conversations were not written: no database", len(self._queue))

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return {
            "queued": len(self._queue),
            "handled": self.handled,
            "failed": self.failed,
            "dropped": self.dropped,
            "deleted": self.deleted,
        }

    async def delete_old(self) -> None:
        """Deletes what is older than the retention, as far as no other task is at it."""
        while True:
            try:
                row = await self._postgres.look(DELETE, LOCK, self._now() - self._kept, DELETED)
            except Away:
                return
            if row is None:
                return
            self.deleted += row["deleted"]
            if row["deleted"] < DELETED:
                return

    async def _run(self) -> None:
        while self._queue or not self._closing:
            await self._more.wait()
            self._more.clear()
            if not self._closing:
                await asyncio.sleep(LINGER)
            while self._queue:
                await self._write()

    async def _write(self) -> None:
        if not self._postgres.connected:
            await asyncio.sleep(RETRY)
            return
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        if await self._postgres.write(INSERT, batch):
            self.handled += len(batch)
        else:
            self._queue.extendleft(reversed(batch))
            await asyncio.sleep(RETRY)

    async def _sweep(self) -> None:
        while True:
            await self.delete_old()
            await asyncio.sleep(SWEEP if self._postgres.state == "ready" else RETRY)
