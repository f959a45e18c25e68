"""Stores for caches that tasks share, and an embedder that needs no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from postgres_database import connected

from llm_service.cache import Cache
from llm_service.cache.postgres import PostgresLike, PostgresStore, Tables
from llm_service.cache.valkey import ValkeyLike, ValkeyStore
from llm_service.database import Postgres
from llm_service.limits.link import Valkey


class Words:
    """Vectors of the words of a text: texts that share words are alike."""

    def __init__(self, digest: str = "words") -> None:
        self.digest = digest

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                found[row, hashlib.sha256(word.encode()).digest()[0] % 64] += 1
        return found


@pytest.fixture
def embedder() -> Words:
    """An embedder that needs no model."""
    return Words()


@pytest.fixture
async def database(where: dict[str, str]) -> AsyncIterator[Postgres]:
    """A connection to a database of this test's own."""
    async with connected(where) as postgres:
        yield postgres


@pytest.fixture(params=["valkey", "postgres"])
async def shared(
    request: pytest.FixtureRequest, valkey: Valkey, database: Postgres, embedder: Words
) -> AsyncIterator[Callable[..., Cache]]:
    """Makes caches of several tasks on one store, of both kinds."""
    made: list[Cache] = []

    def make(**more: Any) -> Cache:
        given = {"seconds": 5.0, "embedder": embedder, **more}
        if request.param == "valkey":
            cache = Cache(store=ValkeyStore(valkey), like=ValkeyLike(valkey), **given)
        else:
            tables = Tables(database)
            cache = Cache(store=PostgresStore(tables), like=PostgresLike(tables), **given)
        cache.start()
        made.append(cache)
        return cache

    yield make
    for cache in made:
        await cache.stop()
