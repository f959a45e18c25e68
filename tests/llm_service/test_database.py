"""A database that sleeps while nobody is connected is left to sleep."""

from collections.abc import AsyncIterator, Mapping
from datetime import date

import pytest
from postgres_database import database_at

from llm_service.database import QUIET, Postgres
from llm_service.jobs.postgres import PostgresStore
from llm_service.limits.spending import PostgresSpend
from llm_service.service import TABLES


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def postgres(where: Mapping[str, str], clock: Clock) -> AsyncIterator[Postgres]:
    made = Postgres(database_at(where), TABLES, clock=clock)
    assert await made.connect()
    yield made
    await made.close()


async def asked(postgres: Postgres, clock: Clock) -> bool:
    """Whether a look gets through now."""
    return await postgres.look("SELECT 1 AS one") is not None


async def test_whoever_looks_stops_a_minute_after_the_last_use(
    postgres: Postgres, clock: Clock
) -> None:
    clock.now = QUIET
    assert await asked(postgres, clock)
    clock.now = QUIET + 0.1
    assert not await asked(postgres, clock)
    await postgres.row("SELECT 1")
    assert await asked(postgres, clock)


async def test_looking_does_not_count_as_use(postgres: Postgres, clock: Clock) -> None:
    for clock.now in (20.0, 40.0, 60.0):
        assert await asked(postgres, clock)
    clock.now = 61.0
    assert not await asked(postgres, clock)


async def test_a_health_check_tells_how_a_quiet_database_was(
    postgres: Postgres, clock: Clock
) -> None:
    assert await postgres.reachable()
    clock.now = 2 * QUIET
    await postgres.close()  # it would say no if it were asked
    assert await postgres.reachable()
    assert postgres.state == "ready"


async def test_budgets_and_jobs_do_not_wake_it(postgres: Postgres, clock: Clock) -> None:
    spend, jobs = PostgresSpend(postgres), PostgresStore(postgres)
    today = date(2030, 1, 1)
    assert await spend.add(today, {"day": 5.0}) == {"day": 5.0}
    clock.now += 2 * QUIET
    assert await spend.add(today, {"day": 0.0}) == {}
    assert await jobs.waiting(10) == []
    assert postgres.quiet
    assert await spend.add(today, {"day": 1.0}) == {"day": 6.0}
    assert not postgres.quiet
