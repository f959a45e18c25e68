"""The schedule's event: it keeps a container, and lets a database sleep that nobody asks."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from lambda_container import Container
from waiting import until

from llm_service.lambda_function import KEEP_WARM

SEARCH = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/v1/search",
    "rawQueryString": "",
    "headers": {
        "authorization": "Bearer secret-token",
        "content-type": "application/json",
        "host": "handbook.example",
    },
    "requestContext": {
        "http": {"method": "POST", "path": "/v1/search", "sourceIp": "192.0.2.1"},
        "stage": "$default",
    },
    "body": '{"query": "dishwasher"}',
    "isBase64Encoded": False,
}


@pytest.fixture
def container(where: dict[str, str]) -> Iterator[Container]:
    made = Container(where)
    yield made
    made.end()


async def connections(where: dict[str, str]) -> int:
    """How many there are to the database, but for this one."""
    asking = await asyncpg.connect(
        host=where["DATABASE_HOST"],
        port=int(where["DATABASE_PORT"]),
        user=where["DATABASE_USER"],
        password=where["DATABASE_PASSWORD"],
        database=where["DATABASE_NAME"],
    )
    try:
        found = await asking.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await asking.close()
    return int(found)


async def test_a_new_container_does_not_wake_the_database(
    container: Container, where: dict[str, str]
) -> None:
    assert container.answer(KEEP_WARM) == {}
    assert await connections(where) == 0


async def test_a_container_that_answered_leaves_the_database_and_comes_back(
    container: Container, where: dict[str, str]
) -> None:
    assert container.answer(SEARCH)["statusCode"] == 200
    assert await connections(where) > 0
    container.answer(KEEP_WARM)
    container.answer(KEEP_WARM)

    async def nobody() -> bool:
        return await connections(where) == 0

    await until(nobody, "the container stays connected")
    assert container.answer(SEARCH)["statusCode"] == 200
    assert await connections(where) > 0
