"""Answers are recorded in PostgreSQL, off the path of the request."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from llm_service.database import Postgres
from llm_service.ledger import Ledger, entry
from llm_service.sample import FOLDER
from llm_service.settings import Database

QUESTION = "What is the name of the head roaster?"
DATABASE = Database("127.0.0.1", 1, "handbook", "nobody", "secret", "disable")
NOWHERE = Postgres(DATABASE, [])

Start = Callable[..., Any]
Table = Callable[..., Awaitable[list[Any]]]


def service(start: Start, where: dict[str, str], **more: Any) -> Any:
    return start("--no-auth", "--corpus", str(FOLDER / "documents.jsonl"), **where, **more)


def ask(server: Any) -> Any:
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body).json()


def database_of(server: Any) -> Any:
    return httpx.get(f"{server.url}/readyz").json()["database"]


async def test_several_tasks_may_start_at_once_and_record_what_they_answered(
    start: Start, where: dict[str, str], table: Table
) -> None:
    releases = ["1.0.0-aaaaaaaa", "1.1.0-bbbbbbbb", "1.2.0-cccccccc"]
    tasks = [service(start, where, RELEASE=release, wait=False) for release in releases]
    for task in tasks:
        task.wait_for("/readyz", 200)
    replies = [ask(task) for task in tasks]
    for task in tasks:
        task.process.send_signal(signal.SIGTERM)
        assert task.process.wait(10) == 0
    rows = await table("answers", "created_at")
    assert {row["response_id"]: row["release"] for row in rows} == {
        reply["id"]: release for reply, release in zip(replies, releases, strict=True)
    }
    assert rows[0]["document_ids"] == [source["id"] for source in replies[0]["sources"]]


async def test_a_question_is_kept_as_its_hash_only(
    start: Start, where: dict[str, str], table: Table
) -> None:
    server = service(start, where)
    ask(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    (row,) = await table("answers", "created_at")
    assert row["question_sha256"] == hashlib.sha256(QUESTION.encode()).hexdigest()
    assert QUESTION not in str(dict(row))


async def test_a_service_is_unready_while_its_database_is_away_and_loses_no_record(
    start: Start, where: dict[str, str], postgres: Any, table: Table
) -> None:
    server = service(start, where)
    postgres.stop()
    server.wait_for("/readyz", 503)
    assert database_of(server)["state"] == "unreachable"
    reply = ask(server)
    postgres.start()
    server.wait_for("/readyz", 200)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert [row["response_id"] for row in await table("answers", "created_at")] == [reply["id"]]


def test_a_service_starts_without_its_database_and_says_so(
    start: Start, where: dict[str, str], tmp_path: Path
) -> None:
    server = service(start, {**where, "DATABASE_HOST": str(tmp_path)}, wait=False)
    server.wait_for("/healthz", 200)
    server.wait_for("/readyz", 503)
    server.eventually(lambda: "choices" in ask(server), "it never answered")


async def test_what_does_not_fit_the_queue_is_counted() -> None:
    ledger = Ledger(NOWHERE, capacity=2)
    for number in range(5):
        ledger.record(entry(str(number), "1.0.0", "q", []))
    assert (ledger.queued, ledger.dropped) == (2, 3)


async def test_closing_without_a_database_ends_and_counts_the_rest_as_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llm_service.ledger.FLUSH", 0.1)
    ledger = Ledger(NOWHERE)
    ledger.start()
    ledger.record(entry("1", "1.0.0", "q", []))
    async with asyncio.timeout(5):
        await ledger.close()
    assert ledger.dropped == 1


def test_the_password_shows_in_no_representation() -> None:
    assert "secret" not in repr(DATABASE)
