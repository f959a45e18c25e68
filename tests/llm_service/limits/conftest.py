"""A Valkey and a PostgreSQL for limits and budgets that tasks share."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from valkey_server import ValkeyServer

from llm_service.database import Postgres
from llm_service.limits import spending
from llm_service.limits.link import Valkey
from llm_service.settings import Database

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The server of these tests."""
    running = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def prefix() -> str:
    """Keys of this test's own."""
    return f"test{next(_numbers)}:"


@pytest.fixture
async def valkey(server: ValkeyServer, prefix: str) -> AsyncIterator[Valkey]:
    """A connection to it."""
    link = Valkey(server.url, prefix)
    yield link
    await link.close()


@pytest.fixture
async def database(where: dict[str, str]) -> AsyncIterator[Postgres]:
    """A connection to a database of this test's own, with the tables of budgets."""
    settings = Database(
        host=where["DATABASE_HOST"],
        port=int(where["DATABASE_PORT"]),
        name=where["DATABASE_NAME"],
        user=where["DATABASE_USER"],
        password="unused",
        sslmode="prefer",
    )
    postgres = Postgres(settings, (spending.CREATE,))
    assert await postgres.connect()
    yield postgres
    await postgres.close()


class Clock:
    """A clock that stands still until it is set on."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Any:
    """A clock that stands still until it is set on."""
    return Clock()
