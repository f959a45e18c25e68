"""How retrieval is configured, and vectors from an API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_service.environ import SettingsError
from llm_service.http import HttpClient
from llm_service.retrieval import (
    EmbedderError,
    LocalEmbedder,
    Retrieval,
    build,
    build_embedder,
    from_environ,
)
from llm_service.retrieval.remote import RemoteEmbedder
from llm_service.retrieval.settings import RetrievalSettings, build_shelf

Answer = Callable[[Mapping[str, Any]], tuple[int, bytes]]


def test_nothing_configured_is_bm25_alone() -> None:
    settings = from_environ({})
    assert settings == RetrievalSettings()
    assert build_embedder(settings, HttpClient()) is None


def test_every_variable_is_read() -> None:
    settings = from_environ(
        {
            "EMBEDDER": "openai/small",
            "OPENAI_API_KEY": "secret-key",
            "OPENAI_BASE_URL": "http://127.0.0.1/v1",
            "EMBEDDINGS_STORE": "s3://bucket/vectors",
            "EMBEDDINGS_SEARCH": "hnsw",
            "CORPUS_REFRESH_SECONDS": "60",
            "ANSWER_STRICT": "yes",
        }
    )
    assert (settings.embedder, settings.store, settings.search) == (
        "openai/small",
        "s3://bucket/vectors",
        "hnsw",
    )
    assert (settings.refresh_seconds, settings.strict) == (60.0, True)
    assert "secret-key" not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"EMBEDDER": "openai/small"}, "OPENAI_API_KEY"),
        ({"EMBEDDINGS_SEARCH": "fast"}, "exact or hnsw"),
        ({"CORPUS_REFRESH_SECONDS": "-1"}, "CORPUS_REFRESH_SECONDS"),
        ({"ANSWER_STRICT": "maybe"}, "ANSWER_STRICT"),
    ],
)
def test_a_mistake_is_one_sentence(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        from_environ(variables)


def test_vectors_in_a_database_need_one() -> None:
    with pytest.raises(SettingsError, match="DATABASE_HOST"):
        build_shelf(RetrievalSettings(store="postgres"), "corpus.jsonl", None)


async def test_a_service_with_a_model_searches_by_meaning(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "leave", "title": "Annual leave", "text": "Everyone has 28 days."}')
    settings = from_environ({"EMBEDDER": str(model), "EMBEDDINGS_STORE": str(tmp_path / "kept")})
    embedder = build_embedder(settings, HttpClient())
    assert isinstance(embedder, LocalEmbedder)
    retrieval = Retrieval()
    reindexer = build(settings, retrieval, str(path), embedder=embedder)
    assert await reindexer.renew()
    assert retrieval.method == "hybrid"
    assert len(await retrieval.search("vacation entitlement", 3)) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 1
    await embedder.close()


@pytest.fixture
async def api() -> AsyncIterator[Callable[[Answer], Any]]:
    """Starts embedding APIs that answer as they are told."""
    servers: list[asyncio.Server] = []

    async def start(answer: Answer) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            status, body = answer(json.loads(await reader.readexactly(length)))
            line = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close"
            writer.write(line.encode() + b"\r\n\r\n" + body)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_an_api_gives_vectors_in_the_order_of_the_texts(api: Any) -> None:
    asked: list[Mapping[str, Any]] = []

    def answer(body: Mapping[str, Any]) -> tuple[int, bytes]:
        asked.append(body)
        rows = [{"index": i, "embedding": [len(t), 0.0]} for i, t in enumerate(body["input"])]
        rows[0]["embedding"] = [0.0, 2.0]
        return 200, json.dumps({"data": rows[::-1]}).encode()

    client = HttpClient()
    embedder = RemoteEmbedder(client, await api(answer), "small", "key")
    assert (await embedder.embed(["first", "second"])).tolist() == [[0, 1], [1, 0]]
    assert (await embedder.embed(["one"])).tolist() == (await embedder.embed(["one"])).tolist()
    assert [body["input"] for body in asked] == [["first", "second"], ["one"]]
    assert asked[0]["model"] == "small"
    await client.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (200, b"<html>"), (200, b'{"data": []}'), (200, b'{"data": [{"index": 0}]}')],
)
async def test_an_api_that_gives_no_vectors_is_an_error_without_its_words(
    api: Any, status: int, body: bytes
) -> None:
    client = HttpClient()
    embedder = RemoteEmbedder(client, await api(lambda _: (status, body)), "small", "key")
    with pytest.raises(EmbedderError, match=r"^The embedding API answered [\w ]+\.$"):
        await embedder.embed(["text"])
    await client.close()


async def test_an_api_that_is_not_there_is_an_error() -> None:
    client = HttpClient()
    embedder = RemoteEmbedder(client, "http://127.0.0.1:9/v1", "small")
    with pytest.raises(EmbedderError, match="does not answer"):
        await embedder.embed(["text"])
    await client.close()
