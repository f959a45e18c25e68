"""Traffic: the same questions for the same seed, every answer checked, every loss counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from llmops_runbooks import traffic
from llmops_runbooks.traffic import Load, Outcome, Question, Record

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answer(text: str, release: str = "1.0.0-aaaaaaaa") -> web.Response:
    body = {"choices": [{"message": {"content": text}}]}
    return web.json_response(body, headers={traffic.RELEASE_HEADER: release})


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def send(url: str, count: int = 5) -> list[Record]:
    records: list[Record] = []
    stop = asyncio.Event()

    def report(record: Record) -> None:
        records.append(record)
        if len(records) >= count:
            stop.set()

    load = Load(url, "secret", rate=500, seconds=10)
    await traffic.run(load, lambda: Question("How hot?", "93 degrees"), report, stop)
    return records


async def test_an_answer_with_the_golden_words_is_correct(serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        question = (await request.json())["messages"][-1]["content"]
        return answer(f"{question} At 93 Degrees.")

    records = await send(await serve(handler))
    assert {record.outcome for record in records} == {Outcome.CORRECT}
    assert {record.release for record in records} == {"1.0.0-aaaaaaaa"}


async def test_a_500_of_the_release_is_its_own_answer_and_not_sent_again(serve) -> None:
    calls = Counter[str]()

    async def handler(request: web.Request) -> web.Response:
        calls["n"] += 1
        return web.json_response({}, status=500, headers={traffic.RELEASE_HEADER: "1.1.0-b"})

    records = await send(await serve(handler), count=1)
    assert records[0].outcome is Outcome.ERROR
    assert calls["n"] == len(records)


async def test_what_the_load_balancer_failed_is_sent_again_and_counted(serve) -> None:
    seen = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        return web.Response(status=502) if seen == 1 else answer("93 degrees")

    records = await send(await serve(handler), count=3)
    assert {record.outcome for record in records} == {Outcome.CORRECT}
    assert traffic.summarise(records).retried == 1


async def test_a_failure_that_stays_is_a_loss_with_its_reason(serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=503)

    summary = traffic.summarise(await send(await serve(handler), count=1))
    assert summary.lost == summary.sent
    assert set(summary.losses) == {"HTTP 503"}
    assert summary.json()["losses"] == {"HTTP 503": summary.sent}


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (200, json.dumps({"choices": [{"message": {"content": "No idea."}}]}), Outcome.WRONG),
        (200, json.dumps({"choices": [{"message": {"content": " "}}]}), Outcome.LOST),
        (200, "<html>", Outcome.LOST),
        (200, "{}", Outcome.LOST),
        (401, "", Outcome.LOST),
        (500, "", Outcome.ERROR),
    ],
)
def test_what_an_answer_is_worth(status: int, text: str, outcome: Outcome) -> None:
    assert traffic.judge_answer(status, "1.0.0-a", text, "42")[0] is outcome


def test_a_500_that_no_release_signed_is_a_loss() -> None:
    assert traffic.judge_answer(500, "", "", "42")[0] is Outcome.LOST


def test_the_same_seed_asks_the_same_questions() -> None:
    questions = [Question(f"Q{number}?", "a") for number in range(50)]
    phrasings = [("{question}", 3.0), ("Hello. {question} Thanks!", 1.0)]

    def first(seed: int) -> list[str]:
        source = traffic.ask(questions, phrasings, seed)
        return [source().text for _ in range(40)]

    assert first(7) == first(7) != first(8)
    assert any(text.startswith("Hello.") for text in first(7))


async def test_a_sender_is_a_process_that_stops_when_told(serve, tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return answer("blue")

    folder = tmp_path / "sample"
    folder.mkdir()
    (folder / "golden.jsonl").write_text('{"question": "Which?", "answer": "blue"}\n')
    (folder / "phrasings.jsonl").write_text('{"template": "{question}", "weight": 1}\n')
    load = Load(await serve(handler), "secret", rate=50)
    sender = traffic.Sender(load, folder, tmp_path / "out.jsonl")
    try:
        async with asyncio.timeout(30):
            while len(sender.records()) < 5:
                await asyncio.sleep(0.02)
    finally:
        records = await asyncio.to_thread(sender.stop)
    assert {record.outcome for record in records} == {Outcome.CORRECT}
    assert not sender.running()
