"""The exported model as an embedder; SQuAD where it lies beside the repository; a small corpus."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_database import database_at

from llm_service.corpus import Document
from llm_service.retrieval.embedder import Array, EmbedderError, LocalEmbedder
from llm_service.settings import Database
from llm_service.text import terms

ROOT = Path(__file__).parents[3]
SQUAD = ROOT.parent / "shared" / "data" / "squad"
BENCH = ROOT / "benchmarks" / "retrieval"


class BagOfWords:
    """An embedder of these tests' own: a place per term, chosen by its hash."""

    digest = "bag-of-words"

    def __init__(self, width: int = 64) -> None:
        self.width, self.calls, self.down = width, 0, False

    async def embed(self, texts: Sequence[str]) -> Array:
        if self.down:
            raise EmbedderError("It is down.")
        self.calls += 1
        return np.stack([self._row(text) for text in texts])

    def _row(self, text: str) -> Array:
        row = np.full(self.width, 1e-3, np.float32)
        for term in terms(text):
            row[sum(map(ord, term)) % self.width] += 1
        found: Array = row / np.linalg.norm(row)
        return found

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def bag() -> BagOfWords:
    return BagOfWords()


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document("dish", "Dishwasher", "It rinses at 82 degrees. Salt is added daily."),
        Document("leave", "Annual leave", "Everyone has 28 days of leave. Ask your manager."),
        Document("till", "Till", "The till closes at 18:00. Count the float twice."),
    ]


@pytest.fixture
async def embedder(model: Path) -> AsyncIterator[LocalEmbedder]:
    made = LocalEmbedder(model)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def squad() -> Path:
    if not SQUAD.is_dir():
        pytest.skip("SQuAD is not beside the repository")
    return SQUAD


@pytest.fixture(scope="session")
def bench() -> Callable[[str], Any]:
    """Loads a module of benchmarks/retrieval by its name."""

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def database(where: dict[str, str]) -> Database:
    """A PostgreSQL with pgvector, of this test's own."""
    return database_at(where)
