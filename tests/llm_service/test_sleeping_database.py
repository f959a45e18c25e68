"""A database that sleeps while nobody is connected: what is to be written waits until it is awake.

Aurora Serverless takes connections while it resumes, and answers none of them for up to 15 s. Here
a listener in front of PostgreSQL does so, until it is woken; attempts are given up much sooner.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
from postgres_database import database_at
from waiting import until

from llm_service import database, ledger
from llm_service.auth import ANONYMOUS
from llm_service.bundle import Feature
from llm_service.database import Postgres
from llm_service.ledger import Ledger, entry
from llm_service.limits import spending
from llm_service.limits.budgets import Budgets
from llm_service.limits.spending import PostgresSpend
from llm_service.telemetry import conversations
from llm_service.telemetry.conversations import ConversationSink
from llm_service.telemetry.exchange import Exchange

TABLES = (ledger.CREATE, spending.CREATE, conversations.CREATE)
Table = Callable[..., Awaitable[list[Any]]]


class Sleeper:
    """A listener in front of PostgreSQL's socket; asleep it takes connections and says nothing."""

    def __init__(self, where: Mapping[str, str]) -> None:
        self._path = f"{where['DATABASE_HOST']}/.s.PGSQL.{where['DATABASE_PORT']}"
        self._awake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.taken = 0

    def wake(self) -> None:
        self._awake.set()

    def sleep(self) -> None:
        """Falls asleep, as it does once it has no connection."""
        self._awake.clear()
        self.taken = 0
        for task in self._tasks:
            task.cancel()

    @property
    def connections(self) -> int:
        return len(self._tasks)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.taken += 1
        with suppress(asyncio.CancelledError, OSError):
            await self._awake.wait()
            there, back = await asyncio.open_unix_connection(self._path)
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        writer.close()
        self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def sleeping(where: Mapping[str, str]) -> AsyncIterator[tuple[Sleeper, Postgres]]:
    sleeper = Sleeper(where)
    server = await asyncio.start_server(sleeper.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = dataclasses.replace(
        database_at(where), host="127.0.0.1", port=port, sslmode="disable"
    )
    postgres = Postgres(settings, TABLES)
    try:
        yield sleeper, postgres
    finally:
        await postgres.close()
        sleeper.sleep()
        server.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of waiting become tenths."""
    monkeypatch.setattr(database, "TIMEOUT", 0.4)
    monkeypatch.setattr(ledger, "RETRY", 0.05)
    monkeypatch.setattr(conversations, "RETRY", 0.05)


def exchange(number: int) -> Exchange:
    return Exchange(
        request_id=f"req-{number}",
        response_id=f"chatcmpl-{number}",
        path="/v1/chat/completions",
        status=200,
        began=0.0,
        ended=1.0,
        at=1_800_000_000.0,
        answered=True,
    )


async def test_what_is_queued_survives_that_the_database_slept(
    where: dict[str, str], table: Table, hasty: None
) -> None:
    async with sleeping(where) as (sleeper, postgres):
        book, sink = Ledger(postgres), ConversationSink(postgres, "1.0.0", 30)
        budgets = Budgets(1e6, spend=PostgresSpend(postgres))
        feature = Feature(name="answer", prompt="answer@1.0.0", models=("embedded",))
        for each in (book, sink, budgets):
            each.start()

        def ask(number: int) -> None:
            book.record(entry(f"chatcmpl-{number}", "1.0.0", "q", []))
            sink.offer(exchange(number))
            budgets.charge(ANONYMOUS, feature, 100.0)

        async def written() -> bool:
            try:
                rows = [
                    len(await table(name, "response_id")) for name in ("answers", "conversations")
                ]
                spent = [row["micro_usd"] for row in await table("spend", "subject")]
            except asyncpg.UndefinedTableError:  # they come with the first connection
                return False
            return rows == [asked, asked] and spent == [asked * 100.0]

        async def tried() -> bool:
            return sleeper.taken >= 3

        for asked in (1, 2):
            ask(asked)
            await until(tried, "nobody tried to wake the database")
            assert not await written()
            sleeper.wake()
            await until(written, "what was queued was not written")
            sleeper.sleep()
        sleeper.wake()
        await budgets.stop()
        await sink.stop()
        await book.close()
        assert book.dropped == sink.dropped == 0


async def test_an_idle_pool_holds_no_connection(
    where: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = asyncpg.create_pool
    monkeypatch.setattr(
        asyncpg,
        "create_pool",
        lambda **more: made(max_inactive_connection_lifetime=0.05, **more),
    )
    async with sleeping(where) as (sleeper, postgres):
        sleeper.wake()
        assert await postgres.connect() and await postgres.reachable()

        async def none_is_left() -> bool:
            return sleeper.connections == 0

        await until(none_is_left, "an idle connection was kept")
        assert await postgres.reachable()
