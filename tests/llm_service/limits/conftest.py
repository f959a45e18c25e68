"""A PostgreSQL for budgets that tasks share, and a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from postgres_database import connected

from llm_service.database import Postgres
from llm_service.limits import spending


@pytest.fixture
async def database(where: dict[str, str]) -> AsyncIterator[Postgres]:
    """A connection to a database of this test's own, with the tables of budgets."""
    async with connected(where, spending.CREATE) as postgres:
        yield postgres


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
