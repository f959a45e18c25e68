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
from typing import Any, Literal, NamedTuple

from llm_service.settings import Database

logger = logging.getLogger("llm_service")

CAPACITY = 10_000
BATCH = 500
TIMEOUT = 3.0
"""Seconds for a connection or a statement."""
RETRY = 1.0
"""Seconds between two attempts while the database is away."""
LINGER = 0.1
"""Seconds that answers collect before they are written together."""
FLUSH = 5.0
"""Seconds that a stopping process spends on writing what is queued; ECS kills after 30."""
LOCK = 0x6C6C6D6F7073
"""The advisory lock under which the table is made: of two `CREATE TABLE IF NOT EXISTS` at once,
one fails on PostgreSQL's own catalogue."""

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

State = Literal["connecting", "ready", "unreachable"]


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
    """Writes entries to `database` in the background, from `start` to `close`."""

    def __init__(self, database: Database, capacity: int = CAPACITY) -> None:
        self._database, self._capacity = database, capacity
        self._queue: deque[Entry] = deque()
        self._more = asyncio.Event()
        self._closing = False
        self._pool: Any = None
        self._task: asyncio.Task[None] | None = None
        self.state: State = "connecting"
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

    async def reachable(self) -> bool:
        """Whether the database answers now."""
        if self._pool is None:
            return False
        self.state = (
            "ready" if await self._tried(self._pool.fetchval("SELECT 1")) else ("unreachable")
        )
        return self.state == "ready"

    async def close(self) -> None:
        """Writes what is queued for at most FLUSH seconds and disconnects."""
        self._closing = True
        self._more.set()
        if self._task:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, FLUSH)
        if self._queue:
            self.dropped += len(self._queue)
            logger.error("%d answers were not recorded: no database", len(self._queue))
        if self._pool and not await self._tried(self._pool.close()):
            self._pool.terminate()

    async def _run(self) -> None:
        while not await self._tried(self._connect()):
            self.state = "unreachable"
            if self._closing and not self._queue:
                return
            await asyncio.sleep(RETRY)
        self.state = "ready"
        while self._queue or not self._closing:
            await self._more.wait()
            self._more.clear()
            if not self._closing:
                await asyncio.sleep(LINGER)
            await self._write_all()

    async def _write_all(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not await self._tried(self._pool.executemany(INSERT, batch)):
                self._queue.extendleft(reversed(batch))
                self.state = "unreachable"
                await asyncio.sleep(RETRY)

    async def _connect(self) -> None:
        import asyncpg

        pool = await asyncpg.create_pool(
            host=self._database.host,
            port=self._database.port,
            database=self._database.name,
            user=self._database.user,
            password=self._database.password,
            ssl=self._database.sslmode,
            min_size=1,
            max_size=2,
            timeout=TIMEOUT,
        )
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                await connection.execute(CREATE)
        except BaseException:
            pool.terminate()
            raise
        self._pool = pool

    async def _tried(self, attempt: Any) -> bool:
        """Whether `attempt` came through; the database's refusals go to the log."""
        import asyncpg

        try:
            async with asyncio.timeout(TIMEOUT):
                await attempt
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            logger.warning("the database is not reachable: %s", error or type(error).__name__)
            return False
        return True
