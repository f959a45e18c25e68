"""Vectors in PostgreSQL with pgvector: kept there, and compared there.

One table per width of vector. The pages' own vectors are rows with sentence -1. Exact comparison
reads all pages of a corpus; with `hnsw` a corpus has a partial index of its own, so that other
corpora in the table cost no recall, and the nearest pages are nearly always found. A corpus counts
as there once its row in `embedding_sets` is written, which is last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from llm_service.database import Away, Postgres
from llm_service.library import Library
from llm_service.retrieval.embedder import Array, Embedder, EmbedderError
from llm_service.retrieval.similar import Progress
from llm_service.retrieval.vectors import Similar, Vectors, compute
from llm_service.settings import Database

Search = Literal["exact", "hnsw"]
Row = tuple[str, int, int, str]

TABLES = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """CREATE TABLE IF NOT EXISTS embedding_sets (
        address text PRIMARY KEY, width integer NOT NULL, search text NOT NULL,
        made timestamptz NOT NULL DEFAULT now())""",
)
TABLE = """CREATE TABLE IF NOT EXISTS embeddings_{width} (
    address text, page integer, sentence integer, vector vector({width}),
    PRIMARY KEY (address, page, sentence))"""
INSERT = """INSERT INTO embeddings_{width} VALUES ($1, $2, $3, $4::text::vector)
    ON CONFLICT DO NOTHING"""
HNSW = """CREATE INDEX IF NOT EXISTS embeddings_{width}_{short} ON embeddings_{width}
    USING hnsw (vector vector_cosine_ops) WHERE address = '{address}' AND sentence = -1"""
DONE = (
    "INSERT INTO embedding_sets (address, width, search) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
)
COMPARE = """
    WITH near AS (
        SELECT page FROM embeddings_{width} WHERE address = '{address}' AND sentence = -1
        ORDER BY vector <=> $1::text::vector LIMIT $3
    ), wanted AS (SELECT page FROM near UNION SELECT unnest($2::integer[])
    ), compared AS (
        SELECT page, sentence, 1 - (vector <=> $1::text::vector) AS cosine
        FROM embeddings_{width} JOIN wanted USING (page) WHERE address = '{address}'
    ), scored AS (
        SELECT page, max(cosine) FILTER (WHERE sentence = -1) AS own,
            max(cosine) FILTER (WHERE sentence >= 0) AS best
        FROM compared GROUP BY page)
    SELECT array_agg(page) AS pages, array_agg((own + coalesce(best, own)) / 2) AS scores
    FROM scored"""
BATCH = 200
"""Rows of one insertion."""


class PostgresShelf:
    """A `Shelf` in `database`, which needs the extension pgvector."""

    def __init__(self, database: Database, search: Search = "exact") -> None:
        self._postgres, self._search = Postgres(database, TABLES), search
        self._connected = False

    async def find(self, address: str) -> Similar | None:
        """See `Shelf`. Raises EmbedderError where the database is away."""
        await self._connect()
        try:
            found = await self._postgres.row(
                "SELECT width FROM embedding_sets WHERE address = $1", address
            )
        except Away as error:
            raise _away() from error
        return _Compared(self._postgres, address, int(found["width"])) if found else None

    async def fill(
        self, address: str, library: Library, embedder: Embedder, progress: Progress
    ) -> Similar:
        """See `Shelf`."""
        await self._connect()
        vectors = await compute(library, embedder, progress)
        width = vectors.pages.shape[1]
        await self._write(TABLE.format(width=width), [()])
        rows = list(_rows(address, vectors))
        for start in range(0, len(rows), BATCH):
            await self._write(INSERT.format(width=width), rows[start : start + BATCH])
        if self._search == "hnsw":
            statement = HNSW.format(width=width, short=address[:16], address=address)
            await self._write(statement, [()])
        await self._write(DONE, [(address, width, self._search)])
        return _Compared(self._postgres, address, width)

    async def close(self) -> None:
        """Disconnects."""
        if self._connected:
            await self._postgres.close()

    async def _connect(self) -> None:
        if not self._connected and not await self._postgres.connect():
            raise _away()
        self._connected = True

    async def _write(self, statement: str, rows: list[Any]) -> None:
        if not await self._postgres.write(statement, rows):
            raise _away()


@dataclass(frozen=True, slots=True)
class _Compared:
    """The vectors of one address, compared by the database."""

    postgres: Postgres
    address: str
    width: int

    async def similarities(
        self, question: Array, also: Collection[int], nearest: int
    ) -> dict[int, float]:
        """See `Similar`. Raises EmbedderError where the database is away."""
        statement = COMPARE.format(width=self.width, address=self.address)
        try:
            found = await self.postgres.row(statement, _text(question), list(also), nearest)
        except Away as error:
            raise _away() from error
        return dict(zip(found["pages"] or (), found["scores"] or (), strict=True))


def _rows(address: str, vectors: Vectors) -> Iterator[Row]:
    for page, own in enumerate(vectors.pages):
        yield address, page, -1, _text(own)
        start, end = vectors.starts[page : page + 2]
        for sentence, vector in enumerate(vectors.sentences[start:end]):
            yield address, page, sentence, _text(vector)


def _text(vector: Any) -> str:
    """The vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.7g}" for value in vector.tolist()) + "]"


def _away() -> EmbedderError:
    return EmbedderError("The database that holds the vectors is not reachable.")
