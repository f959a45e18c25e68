"""A test's own PostgreSQL database, as the service connects to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from llm_service.database import Postgres
from llm_service.settings import Database


def database_at(where: Mapping[str, str]) -> Database:
    """The settings that the service makes of the variables `where`; a socket speaks no TLS."""
    return Database(
        host=where["DATABASE_HOST"],
        port=int(where["DATABASE_PORT"]),
        name=where["DATABASE_NAME"],
        user=where["DATABASE_USER"],
        password=where["DATABASE_PASSWORD"],
        sslmode="prefer",
    )


@asynccontextmanager
async def connected(where: Mapping[str, str], *tables: str) -> AsyncIterator[Postgres]:
    """A connection to the database of `where`, once the statements `tables` have been run."""
    postgres = Postgres(database_at(where), tables)
    assert await postgres.connect()
    try:
        yield postgres
    finally:
        await postgres.close()
