"""PostgreSQL as the service uses it: one small pool, short statements, and a database that may be
away without anything else failing.

Who logs in may change while the pool is in use (see `logins`): a connection that is refused is
tried once more with a login read anew, and those of a former user are replaced one by one, as they
come back to the pool.

No connection is kept for its own sake: after five idle minutes (asyncpg's default) the last one is
closed, so that an Aurora that pauses without connections can. It takes up to 15 s to resume
("Scaling to Zero ACUs", Aurora user guide): until then every attempt fails after TIMEOUT, and those
who have something to write keep it and try again. Whoever only looks around, again and again,
stops once nobody has used the database for a while: `look`, and not `row`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from llm_service.logins import (
    Fixed,
    FromIam,
    FromSecret,
    Login,
    Logins,
    LoginUnavailable,
    iam_signer,
    secret_reader,
)
from llm_service.settings import Database

logger = logging.getLogger("llm_service")

QUIET = 60.0
"""Seconds after the last use; then those who only look leave the database alone."""
TIMEOUT = 3.0
"""Seconds for a connection or a statement."""
LOCK = 0x6C6C6D6F7073
"""The advisory lock under which the tables are made: of two `CREATE TABLE IF NOT EXISTS` at once,
one fails on PostgreSQL's own catalogue."""

State = Literal["connecting", "ready", "unreachable"]


class Away(Exception):
    """The database did not do it; why is in the log."""


class Postgres:
    """`database` once `connect` came through; `tables` are the statements that make its tables.

    `logins`: who logs in; default: whom `database` says.
    """

    def __init__(
        self,
        database: Database,
        tables: Sequence[str],
        logins: Logins | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._tables = database, tables
        self._logins = logins or logins_of(database)
        self._clock, self._used = clock, clock()
        self._pool: Any = None
        self._looking: asyncio.Task[None] | None = None
        self.state: State = "connecting"

    @property
    def connected(self) -> bool:
        """Whether `connect` came through once: only then anything can be written."""
        return self._pool is not None

    @property
    def version(self) -> str | None:
        """Which version of a secret the login in force is of; None: of none."""
        return self._logins.version

    async def connect(self) -> bool:
        """Connects and makes the tables; whether that came through."""
        return await self._tried(self._connect())

    @property
    def quiet(self) -> bool:
        """Whether nobody has used the database for QUIET seconds."""
        return self._clock() - self._used > QUIET

    async def reachable(self) -> bool:
        """Whether the database answers now; while it is quiet, whether it did at last."""
        if self.quiet:
            return self.state == "ready"
        return self._pool is not None and await self._tried(self._pool.fetchval("SELECT 1"))

    async def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> bool:
        """Executes `statement` for each row, all or none; whether that came through."""
        self._used = self._clock()
        return await self._tried(self._pool.executemany(statement, rows))

    async def row(self, statement: str, *values: Any) -> Any:
        """The first row of `statement`, None if it has none. Raises Away."""
        self._used = self._clock()
        return await self._first(statement, values)

    async def look(self, statement: str, *values: Any) -> Any:
        """The same for whoever looks around and would not wake it: None while it is quiet."""
        return None if self.quiet else await self._first(statement, values)

    async def _first(self, statement: str, values: Sequence[Any]) -> Any:
        if self._pool is None:
            raise Away
        found: list[Any] = []
        if not await self._tried(self._fetch(found, statement, values)):
            raise Away
        return found[0]

    async def close(self) -> None:
        """Disconnects."""
        if self._looking:
            self._looking.cancel()
        if self._pool and not await self._tried(self._pool.close()):
            self._pool.terminate()

    async def _fetch(self, found: list[Any], statement: str, values: Sequence[Any]) -> None:
        found.append(await self._pool.fetchrow(statement, *values))

    async def _connect(self) -> None:
        import asyncpg

        pool = await asyncpg.create_pool(
            connect=self._open, min_size=0, max_size=3, timeout=TIMEOUT
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

    async def _open(self, _: None, **arguments: Any) -> Any:
        """A new connection of the pool's, by the login in force or the one after it; the pool
        hands on a DSN, which there is none of."""
        import asyncpg

        login = await self._logins.login()
        try:
            return await self._log_in(login, arguments)
        except asyncpg.InvalidAuthorizationSpecificationError:
            if not await self._logins.renewed(login):
                raise
        await self._replace()
        return await self._log_in(await self._logins.login(), arguments)

    async def _log_in(self, login: Login, arguments: Mapping[str, Any]) -> Any:
        import asyncpg

        return await asyncpg.connect(
            host=self._database.host,
            port=self._database.port,
            database=self._database.name,
            user=login.user,
            password=login.password,
            ssl=self._database.sslmode,
            **arguments,
        )

    def _look(self) -> None:
        """Looks beside the statement for a new login, where that is due."""
        if self._logins.due and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        if await self._logins.changed():
            await self._replace()

    async def _replace(self) -> None:
        """Has every connection made anew once it is back in the pool."""
        if self._pool:
            await self._pool.expire_connections()

    async def _tried(self, attempt: Any) -> bool:
        """Whether `attempt` came through; the database's refusals go to the log."""
        import asyncpg

        away = (
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            LoginUnavailable,
        )
        if self._pool:
            self._look()
        try:
            async with asyncio.timeout(TIMEOUT):
                await attempt
        except away as error:
            logger.warning("the database is not reachable: %s", error or type(error).__name__)
            self.state = "unreachable"
            return False
        self.state = "ready"
        return True


def storable(text: str) -> str:
    """The text as PostgreSQL takes it: without NUL and halves of surrogate pairs."""
    return text.replace("\0", "").encode(errors="replace").decode()


def logins_of(database: Database) -> Logins:
    """Who logs in to `database`, as its settings say."""
    if database.secret:
        return FromSecret(secret_reader(database.secret), database.refresh)
    if database.auth == "iam":
        return FromIam(database.user, iam_signer(database.host, database.port, database.user))
    return Fixed(database.user, database.password)
