"""What the response cache reads from the environment, and how it is put together.

    CACHE_BYTES        memory of each task for answers                      67108864
    CACHE_STORE        memory, valkey or postgres: what the tasks share     valkey with VALKEY_URL,
                                                                            else memory
    CACHE_TIMEOUT_MS   what a request waits for a store, or for a vector    50
    CACHE_WARM         file of questions asked at the start                 none

Whether answers are kept at all, for whom, for how long and how like a question must be, each
feature says in its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from llm_service.cache.cache import BYTES, Cache
from llm_service.cache.likeness import Embedder
from llm_service.cache.postgres import PostgresLike, PostgresStore, Tables
from llm_service.cache.valkey import ValkeyLike, ValkeyStore
from llm_service.cache.warming import Question, load
from llm_service.database import Postgres
from llm_service.environ import SettingsError, number, whole
from llm_service.limits.link import Valkey


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How answers are kept; `seconds` is what a request waits at most for each look-up."""

    capacity: int = BYTES
    store: Literal["memory", "valkey", "postgres"] = "memory"
    seconds: float = 0.05
    warm: tuple[Question, ...] = ()


def from_environ(environ: Mapping[str, str]) -> CacheSettings:
    """The settings. Raises SettingsError."""
    path = environ.get("CACHE_WARM")
    return CacheSettings(
        capacity=whole(environ, "CACHE_BYTES", BYTES, 0, 2**40),
        store=_store(environ),
        seconds=number(environ, "CACHE_TIMEOUT_MS", 50.0, 5_000, 1) / 1000,
        warm=tuple(load(path)) if path else (),
    )


def build(
    settings: CacheSettings,
    valkey: Valkey | None,
    postgres: Postgres | None,
    embedder: Embedder | None,
) -> Cache:
    """The cache as configured, not started."""
    if settings.store == "valkey" and valkey:
        return Cache(
            settings.capacity,
            store=ValkeyStore(valkey),
            like=ValkeyLike(valkey),
            embedder=embedder,
            seconds=settings.seconds,
        )
    if settings.store == "postgres" and postgres:
        tables = Tables(postgres)
        return Cache(
            settings.capacity,
            store=PostgresStore(tables),
            like=PostgresLike(tables),
            embedder=embedder,
            seconds=settings.seconds,
        )
    return Cache(settings.capacity, embedder=embedder, seconds=settings.seconds)


def _store(environ: Mapping[str, str]) -> Literal["memory", "valkey", "postgres"]:
    default = "valkey" if environ.get("VALKEY_URL") else "memory"
    name = environ.get("CACHE_STORE", "").strip() or default
    needed = {"memory": None, "valkey": "VALKEY_URL", "postgres": "DATABASE_HOST"}
    if name not in needed:
        raise SettingsError(f"CACHE_STORE is {name!r}: set it to memory, valkey or postgres.")
    variable = needed[name]
    if variable and not environ.get(variable):
        raise SettingsError(f"CACHE_STORE is {name} without {variable}: set it too.")
    return cast(Literal["memory", "valkey", "postgres"], name)
