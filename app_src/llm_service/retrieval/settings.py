"""How passages are found: what is read from the environment, and what is made of it.

    EMBEDDER                folder of an exported model, or openai/MODEL    none: BM25 alone
    EMBEDDINGS_STORE        folder, s3://bucket/prefix/, or postgres        beside a corpus on S3,
                                                                            else none
    EMBEDDINGS_SEARCH       exact or hnsw, in PostgreSQL                    exact
    CORPUS_REFRESH_SECONDS  how often the corpus is looked at for changes   0: never
    ANSWER_STRICT           the embedded answerer declines where in doubt   true

EMBEDDER=openai/MODEL takes OPENAI_API_KEY and OPENAI_BASE_URL (https://api.openai.com/v1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from llm_service.environ import Environ, SettingsError, number, switch
from llm_service.http import HttpClient
from llm_service.retrieval.embedder import Embedder, LocalEmbedder
from llm_service.retrieval.reindex import Reindexer, Source
from llm_service.retrieval.retrieval import Retrieval
from llm_service.retrieval.similar import InMemory, Shelf
from llm_service.retrieval.stores import FolderStore, S3Store, Store
from llm_service.settings import Database

OPENAI = "https://api.openai.com/v1"
REMOTE = "openai/"
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """See the head of this file; empty where a variable is not set."""

    embedder: str = ""
    store: str = ""
    search: Literal["exact", "hnsw"] = "exact"
    refresh_seconds: float = 0.0
    strict: bool = True
    url: str = OPENAI
    key: str = field(default="", repr=False)


def from_environ(environ: Environ) -> RetrievalSettings:
    """The settings in `environ`. Raises SettingsError."""
    embedder = environ.get("EMBEDDER", "").strip()
    key = environ.get("OPENAI_API_KEY", "").strip()
    url = environ.get("OPENAI_BASE_URL", "").strip() or OPENAI
    if embedder.startswith(REMOTE) and not key:
        raise SettingsError(f"EMBEDDER is {embedder} without OPENAI_API_KEY: set it too.")
    search = environ.get("EMBEDDINGS_SEARCH", "").strip() or "exact"
    if search not in ("exact", "hnsw"):
        raise SettingsError(f"EMBEDDINGS_SEARCH is {search!r}: set it to exact or hnsw.")
    store = environ.get("EMBEDDINGS_STORE", "").strip()
    seconds = number(environ, "CORPUS_REFRESH_SECONDS", 0.0, DAY)
    return RetrievalSettings(
        embedder=embedder,
        store=store,
        search="hnsw" if search == "hnsw" else "exact",
        refresh_seconds=seconds,
        strict=switch(environ, "ANSWER_STRICT", True),
        url=url,
        key=key,
    )


def build_embedder(settings: RetrievalSettings, client: HttpClient) -> Embedder | None:
    """The embedder that is configured, loaded; None if none is. Raises SettingsError."""
    if not settings.embedder:
        return None
    if settings.embedder.startswith(REMOTE):
        from llm_service.retrieval.remote import RemoteEmbedder

        model = settings.embedder.removeprefix(REMOTE)
        return RemoteEmbedder(client, settings.url, model, settings.key)
    return LocalEmbedder(Path(settings.embedder))


def build_shelf(settings: RetrievalSettings, corpus: str, database: Database | None) -> Shelf:
    """Where vectors are kept. Raises SettingsError."""
    if settings.store != "postgres":
        return InMemory(_store(settings.store, corpus))
    if database is None:
        raise SettingsError("EMBEDDINGS_STORE is postgres without DATABASE_HOST: set it too.")
    from llm_service.retrieval.postgres import PostgresShelf

    return PostgresShelf(database, settings.search)


def build(
    settings: RetrievalSettings,
    retrieval: Retrieval,
    corpus: str,
    *,
    embedder: Embedder | None = None,
    database: Database | None = None,
    source: Source | None = None,
) -> Reindexer:
    """What loads `corpus` into `retrieval` and keeps it current. Raises SettingsError."""
    return Reindexer(
        retrieval,
        source or Source.at(corpus),
        embedder=embedder,
        shelf=build_shelf(settings, corpus, database) if embedder else None,
        refresh_seconds=settings.refresh_seconds,
    )


def _store(place: str, corpus: str) -> Store | None:
    """The store at `place`; by default beside a corpus on S3."""
    if not place:
        if not corpus.startswith("s3://"):
            return None
        place = f"{corpus.rpartition('/')[0]}/embeddings/"
    if place.startswith("s3://"):
        return S3Store(f"{place.rstrip('/')}/")
    return FolderStore(Path(place))
