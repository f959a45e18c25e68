"""The conversation log in PostgreSQL, and how long it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llm_service import telemetry
from llm_service.database import Postgres
from llm_service.environ import SettingsError
from llm_service.settings import Database
from llm_service.telemetry import Dimensions, Exchange, build, from_environ
from llm_service.telemetry.conversations import DELETED, INSERT, ConversationSink, conversation

Make = Callable[..., Exchange]
Table = Callable[..., Awaitable[list[Any]]]
NOWHERE = Database("127.0.0.1", 1, "handbook", "nobody", "secret", "disable")
DAY = 86_400.0
AT = 1_800_000_000.0


def now() -> datetime:
    return datetime.fromtimestamp(AT, UTC)


@pytest.fixture
async def database(where: dict[str, str]) -> Any:
    found = Database(
        where["DATABASE_HOST"],
        int(where["DATABASE_PORT"]),
        where["DATABASE_NAME"],
        where["DATABASE_USER"],
        where["DATABASE_PASSWORD"],
        "disable",
    )
    connected = Postgres(found, telemetry.TABLES)
    assert await connected.connect()
    yield connected
    await connected.close()


async def test_an_answer_is_kept_with_its_redacted_texts(
    database: Any, table: Table, exchange: Make
) -> None:
    sink = ConversationSink(database, "1.0.0-ab", 30, now=now)
    sink.start()
    sink.offer(exchange(sources=("a", "b"), answer="No\0body\ud800."))
    await sink.stop()
    (row,) = await table("conversations", "created_at")
    assert dict(row) == {
        "response_id": "chatcmpl-1",
        "created_at": now(),
        "release": "1.0.0-ab",
        "feature": "default",
        "user_hash": "0123456789abcdef",
        "session_hash": "fedcba9876543210",
        "question": "Who is [EMAIL]?",
        "answer": "Nobody?.",
        "source_ids": ["a", "b"],
        "provider": "openai",
        "model": "gpt-4o-mini",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost_micro_usd": 27.0,
        "latency_ms": 2000.0,
    }
    assert sink.state()["handled"] == 1


async def test_a_feature_may_say_no_and_a_refused_request_is_none(
    database: Any, table: Table, exchange: Make
) -> None:
    sink = ConversationSink(database, "1", 30, now=now)
    sink.start()
    sink.offer(exchange(log=False))
    sink.offer(exchange(answered=False))
    await sink.stop()
    assert await table("conversations", "created_at") == []


async def test_what_is_older_than_the_retention_is_deleted_in_batches(
    database: Any, table: Table, exchange: Make
) -> None:
    old = [exchange(response_id=f"old{n}", at=AT - 31 * DAY) for n in range(DELETED + 1)]
    young = [exchange(response_id=f"new{n}", at=AT - 29 * DAY) for n in range(3)]
    await database.write(INSERT, [conversation(each, "1") for each in old + young])
    sink = ConversationSink(database, "1", 30, now=now)
    await sink.delete_old()
    kept = [row["response_id"] for row in await table("conversations", "response_id")]
    assert kept == ["new0", "new1", "new2"]
    assert sink.state()["deleted"] == DELETED + 1


async def test_tasks_that_delete_at_once_delete_each_row_once(
    database: Any, exchange: Make
) -> None:
    old = [exchange(response_id=f"old{n}", at=AT - 31 * DAY) for n in range(50)]
    await database.write(INSERT, [conversation(each, "1") for each in old])
    sinks = [ConversationSink(database, "1", 30, now=now) for _ in range(3)]
    await asyncio.gather(*(sink.delete_old() for sink in sinks))
    assert sum(sink.deleted for sink in sinks) == 50


async def test_without_a_database_the_queue_fills_and_the_rest_is_counted(
    exchange: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.telemetry.conversations.STOP", 0.05)
    sink = ConversationSink(Postgres(NOWHERE, []), "1", 30, capacity=2)
    sink.start()
    for number in range(5):
        sink.offer(exchange(response_id=str(number)))
    assert sink.state()["queued"] == 2
    await sink.stop()
    assert sink.state()["dropped"] == 5


async def test_what_came_before_the_database_is_written_once_it_is_there(
    where: dict[str, str],
    table: Table,
    exchange: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llm_service.telemetry.conversations.RETRY", 0.01)
    host = tmp_path / "socket"
    found = Database(
        str(host), int(where["DATABASE_PORT"]), where["DATABASE_NAME"], "postgres", "", "disable"
    )
    postgres = Postgres(found, telemetry.TABLES)
    assert not await postgres.connect()
    sink = ConversationSink(postgres, "1", 30, now=now)
    sink.start()
    sink.offer(exchange())
    host.symlink_to(where["DATABASE_HOST"])
    assert await postgres.connect()
    await sink.stop()
    await postgres.close()
    assert [row["response_id"] for row in await table("conversations", "created_at")] == [
        "chatcmpl-1"
    ]


def test_a_log_without_a_database_is_refused_in_a_sentence() -> None:
    settings = from_environ({"CONVERSATION_LOG": "on", "CONVERSATION_RETENTION_DAYS": "7"})
    assert (settings.retention_days, settings.texts) == (7, True)
    with pytest.raises(SettingsError, match="set DATABASE_HOST too"):
        build(Dimensions("n", "s", "e", "r"), settings)
