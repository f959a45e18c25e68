"""Answers and vectors in PostgreSQL with pgvector, shared by all tasks.

Vectors have a table for each length, for an index needs one: an HNSW index by cosine. The planner
reads a small partition whole, which is exact, and takes the index for a large one. What the index
finds nearest may then all belong to other partitions: that is a miss, never another's answer.
https://github.com/pgvector/pgvector#filtering
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_service.database import Postgres

if TYPE_CHECKING:
    from llm_service.cache.likeness import Vector

LOCK = 0x6361636865
"""The advisory lock under which the cache makes its tables."""
ROWS = 100_000
"""Answers that are kept; the ones that end first leave."""
MAKE = """
DO $$ BEGIN
    PERFORM pg_advisory_xact_lock({lock});
    {statements}
END $$
"""
ANSWERS = """
CREATE TABLE IF NOT EXISTS response_cache (
    digest bytea PRIMARY KEY,
    answer bytea NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS response_cache_until ON response_cache (until);
"""
VECTORS = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS response_cache_{size} (
    digest bytea PRIMARY KEY,
    partition bytea NOT NULL,
    embedding vector({size}) NOT NULL,
    until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS response_cache_{size}_partition ON response_cache_{size} (partition);
CREATE INDEX IF NOT EXISTS response_cache_{size}_until ON response_cache_{size} (until);
CREATE INDEX IF NOT EXISTS response_cache_{size}_embedding ON response_cache_{size}
    USING hnsw (embedding vector_cosine_ops);
"""
GET = "SELECT answer FROM response_cache WHERE digest = $1 AND until > now()"
PUT = """
INSERT INTO response_cache (digest, answer, until)
VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (digest) DO UPDATE SET answer = excluded.answer, until = excluded.until
"""
NEAREST = """
SELECT digest, 1 - (embedding <=> $2::text::vector) AS cosine FROM response_cache_{size}
WHERE partition = $1 AND until > now() ORDER BY embedding <=> $2::text::vector LIMIT 1
"""
ADD = """
INSERT INTO response_cache_{size} (digest, partition, embedding, until)
VALUES ($1, $2, $3::text::vector, now() + make_interval(secs => $4))
ON CONFLICT (digest) DO UPDATE SET embedding = excluded.embedding, until = excluded.until
"""
TIDY = """
DELETE FROM {table} WHERE until <= now() OR digest IN (
    SELECT digest FROM {table} ORDER BY until DESC OFFSET $1
)
"""
EVERY = 500
"""Writes between two tidyings."""


class Tables:
    """Makes tables when they are first needed, and tidies them."""

    def __init__(self, postgres: Postgres, rows: int = ROWS) -> None:
        self.postgres, self._rows = postgres, rows
        self._made: set[str] = set()
        self._writes: dict[str, int] = {}

    async def make(self, table: str, statements: str) -> None:
        """Makes `table` once. Raises Away."""
        if table not in self._made:
            await self.postgres.row(MAKE.format(lock=LOCK, statements=statements))
            self._made.add(table)

    async def wrote(self, table: str) -> None:
        """Counts a write, and removes what is over now and then. Raises Away."""
        count = self._writes.get(table, 0)
        self._writes[table] = count + 1
        if count % EVERY == EVERY - 1:
            await self.postgres.row(TIDY.format(table=table), self._rows)


class PostgresStore:
    """Answers by digest."""

    name = "postgres"

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, digest: bytes) -> bytes | None:
        await self._tables.make("response_cache", ANSWERS)
        row = await self._tables.postgres.row(GET, digest)
        return bytes(row["answer"]) if row else None

    async def put(self, digest: bytes, data: bytes, seconds: float) -> None:
        await self._tables.make("response_cache", ANSWERS)
        await self._tables.postgres.row(PUT, digest, data, seconds)
        await self._tables.wrote("response_cache")


class PostgresLike:
    """Vectors with pgvector."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def nearest(self, partition: bytes, vector: Vector) -> tuple[bytes, float] | None:
        size = await self._table(vector)
        statement = NEAREST.format(size=size)
        row = await self._tables.postgres.row(statement, partition, _text(vector))
        return (bytes(row["digest"]), float(row["cosine"])) if row else None

    async def add(self, partition: bytes, digest: bytes, vector: Vector, seconds: float) -> None:
        size = await self._table(vector)
        statement = ADD.format(size=size)
        await self._tables.postgres.row(statement, digest, partition, _text(vector), seconds)
        await self._tables.wrote(f"response_cache_{size}")

    async def _table(self, vector: Vector) -> int:
        """Makes the table of vectors of this length; the length."""
        size = int(vector.shape[0])
        await self._tables.make(f"response_cache_{size}", VECTORS.format(size=size))
        return size


def _text(vector: Vector) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{number:.7g}" for number in vector.tolist()) + "]"
