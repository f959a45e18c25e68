"""Vectors beside the corpus on S3, and in PostgreSQL with pgvector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from llm_service.corpus import Document
from llm_service.library import Library
from llm_service.retrieval import Index
from llm_service.retrieval.embedder import EmbedderError
from llm_service.retrieval.postgres import PostgresShelf
from llm_service.retrieval.reindex import Source
from llm_service.retrieval.stores import S3Store
from llm_service.retrieval.vectors import compute
from llm_service.settings import Database


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 bucket named `corpora`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(
            Bucket="corpora", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield client


async def test_an_object_is_written_once_and_never_changed(bucket: Any) -> None:
    store = S3Store("s3://corpora/embeddings/")
    assert await store.get("abc") is None
    await store.put("abc", b"first")
    await store.put("abc", b"second")
    assert await store.get("abc") == b"first"
    assert bucket.get_object(Bucket="corpora", Key="embeddings/abc")["Body"].read() == b"first"


async def test_a_bucket_that_is_not_there_costs_a_warning(
    bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = S3Store("s3://elsewhere/embeddings/")
    await store.put("abc", b"content")
    assert await store.get("abc") is None
    assert "the vectors were not stored: NoSuchBucket" in caplog.text


async def test_a_corpus_on_s3_has_the_version_of_its_etag(bucket: Any) -> None:
    source = Source.at("s3://corpora/corpus.jsonl")
    line = b'{"id": "1", "title": "One", "text": "Text."}'
    bucket.put_object(Bucket="corpora", Key="corpus.jsonl", Body=line)
    first = await asyncio.to_thread(source.version)
    assert [d.id for d in await asyncio.to_thread(source.read)] == ["1"]
    bucket.put_object(Bucket="corpora", Key="corpus.jsonl", Body=line.replace(b"1", b"2"))
    assert await asyncio.to_thread(source.version) != first


@pytest.mark.parametrize("search", ["exact", "hnsw"])
async def test_the_database_compares_as_memory_does(
    database: Database, documents: list[Document], bag: Any, search: Any
) -> None:
    library = Library(documents)
    shelf = PostgresShelf(database, search)
    assert await shelf.find("a" * 64) is None
    kept = await shelf.fill("a" * 64, library, bag, lambda done: None)
    (question,) = await bag.embed(["salt of the dishwasher"])
    expected = await (await compute(library, bag)).similarities(question, [2], 2)
    assert await kept.similarities(question, [2], 2) == pytest.approx(expected, abs=1e-3)
    await shelf.close()


async def test_the_next_process_finds_them_in_the_database(
    database: Database, documents: list[Document], bag: Any
) -> None:
    library = Library(documents)
    first, second = PostgresShelf(database), PostgresShelf(database)
    await first.fill("b" * 64, library, bag, lambda done: None)
    calls = bag.calls
    found = await second.find("b" * 64)
    index = Index(library, "b" * 64, bag, found)
    assert [hit.passage.document.id for hit in await index.search("salt", 1)] == ["dish"]
    assert (index.method, bag.calls) == ("hybrid", calls + 1)
    await asyncio.gather(first.close(), second.close())


async def test_a_database_that_is_away_leaves_bm25(
    database: Database, documents: list[Document], bag: Any
) -> None:
    library = Library(documents)
    shelf = PostgresShelf(database)
    found = await shelf.fill("c" * 64, library, bag, lambda done: None)
    await shelf.close()
    hits = await Index(library, "c" * 64, bag, found).search("salt", 1)
    assert [hit.passage.document.id for hit in hits] == ["dish"]
    away = Database("127.0.0.1", 9, "none", "nobody", "secret", "disable")
    with pytest.raises(EmbedderError, match="not reachable"):
        await PostgresShelf(away).find("c" * 64)
