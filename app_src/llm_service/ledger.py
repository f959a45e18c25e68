"""The record of answers in PostgreSQL: which release answered what from which documents.

Recording must not cost an answer: requests only append to a bounded queue, a task writes it in
batches. While the database is away the queue fills, and what does not fit is counted as dropped.
A question is kept as its SHA-256: enough to count repetitions, not enough to read along.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from llm_service.database import Postgres

logger = logging.getLogger("llm_service")

CAPACITY = 10_000
BATCH = 500
RETRY = 1.0
"""Seconds between two attempts while the database is away."""
LINGER = 0.1
"""Seconds that answers collect before they are written together."""
FLUSH = 5.0
"""Seconds that a stopping process spends on writing what is queued; ECS kills after 30."""

CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    response_id text PRIMARY KEY,
    created_at timestamptz NOT NULL,
    release text NOT NULL,
    question_sha256 text NOT NULL,
    document_ids text[] NOT NULL
)
"""
INSERT = "INSERT INTO answers VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
RELEASE_OF = "SELECT release FROM answers WHERE response_id = $1"


class Entry(NamedTuple):
    """One answered request, in the order of the table's columns."""

    response_id: str
    created_at: datetime
    release: str
    question_sha256: str
    document_ids: list[str]


def entry(response_id: str, release: str, question: str, document_ids: Sequence[str]) -> Entry:
    """The entry of an answer given now."""
    digest = hashlib.sha256(question.encode()).hexdigest()
    return Entry(response_id, datetime.now(UTC), release, digest, list(document_ids))


class Ledger:
    """Writes entries to `postgres` in the background, from `start` to `close`; the first thing it
    does is to connect, as often as it takes."""

    def __init__(self, postgres: Postgres, capacity: int = CAPACITY) -> None:
        self._postgres, self._capacity = postgres, capacity
        self._queue: deque[Entry] = deque()
        self._more = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    @property
    def queued(self) -> int:
        """Entries not yet written."""
        return len(self._queue)

    def start(self) -> None:
        """Begins to connect and to write."""
        self._task = asyncio.create_task(self._run(), name="ledger")

    def record(self, entry: Entry) -> None:
        """Queues `entry`, or drops and counts it where the queue is full."""
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(entry)
        self._more.set()

    async def release_of(self, response_id: str) -> str | None:
        """The release that gave the answer, if it is written already. Raises Away."""
        row = await self._postgres.row(RELEASE_OF, response_id)
        return str(row["release"]) if row else None

    async def close(self) -> None:
        """Writes what is queued for at most FLUSH seconds."""
        self._closing = True
        self._more.set()
        if self._task:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, FLUSH)
        if self._queue:
            self.dropped += len(self._queue)
            logger.error("%d answers were not recorded: no database", len(self._queue))

    async def _run(self) -> None:
        while not await self._postgres.connect():
            if self._closing and not self._queue:
                return
            await asyncio.sleep(RETRY)
        while self._queue or not self._closing:
            await self._more.wait()
            self._more.clear()
            if not self._closing:
                await asyncio.sleep(LINGER)
            await self._write_all()

    async def _write_all(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not await self._postgres.write(INSERT, batch):
                self._queue.extendleft(reversed(batch))
                await asyncio.sleep(RETRY)
