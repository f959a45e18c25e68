"""PostgreSQL as the service uses it: one small pool, short statements, and a database that may be
away without anything else failing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

from llm_service.settings import Database

logger = logging.getLogger("llm_service")

TIMEOUT = 3.0
"""Seconds for a connection or a statement."""
LOCK = 0x6C6C6D6F7073
"""The advisory lock under which the tables are made: of two `CREATE TABLE IF NOT EXISTS` at once,
one fails on PostgreSQL's own catalogue."""

State = Literal["connecting", "ready", "unreachable"]


class Away(Exception):
    """The database did not do it; why is in the log."""


class Postgres:
    """`database` once `connect` came through; `tables` are the statements that make its tables."""

    def __init__(self, database: Database, tables: Sequence[str]) -> None:
        self._database, self._tables = database, tables
        self._pool: Any = None
        self.state: State = "connecting"

    @property
    def connected(self) -> bool:
        """Whether `connect` came through once: only then anything can be written."""
        return self._pool is not None

    async def connect(self) -> bool:
        """Connects and makes the tables; whether that came through."""
        return await self._tried(self._connect())

    async def reachable(self) -> bool:
        """Whether the database answers now."""
        return self._pool is not None and await self._tried(self._pool.fetchval("SELECT 1"))

    async def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> bool:
        """Executes `statement` for each row, all or none; whether that came through."""
        return await self._tried(self._pool.executemany(statement, rows))

    async def row(self, statement: str, *values: Any) -> Any:
        """The first row of `statement`, None if it has none. Raises Away."""
        if self._pool is None:
            raise Away
        found: list[Any] = []
        if not await self._tried(self._fetch(found, statement, values)):
            raise Away
        return found[0]

    async def close(self) -> None:
        """Disconnects."""
        if self._pool and not await self._tried(self._pool.close()):
            self._pool.terminate()

    async def _fetch(self, found: list[Any], statement: str, values: Sequence[Any]) -> None:
        found.append(await self._pool.fetchrow(statement, *values))

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
            max_size=3,
            timeout=TIMEOUT,
        )
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                for table in self._tables:
                    await connection.execute(table)
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
            self.state = "unreachable"
            return False
        self.state = "ready"
        return True
