"""Whole evaluations against a service of a few lines: what is asked, counted and written."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from llmops_runbooks import eval_schema
from llmops_runbooks.errors import CloudError
from llmops_runbooks.eval_ask import Asking, Target
from llmops_runbooks.eval_golden import Golden, Graded, Question
from llmops_runbooks.eval_run import Plan, evaluated

RIGHT = Question("right", "Who founded it?", True, ("Maren Oldcastle",), "history")
WRONG = Question("wrong", "How many?", True, ("240",), "staff")
NONE = Question("none", "Who won?", False, (), None)
GOLDEN = Golden("golden.jsonl", "0" * 64, (RIGHT, WRONG, NONE))
ANSWERS = {
    RIGHT.text: "It was Maren Oldcastle.",
    WRONG.text: "About 300.",
    NONE.text: "I cannot find that.",
}


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        due = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, due)


class Scripted:
    """A session whose service answers with these statuses, one after another."""

    def __init__(self, answers: list[int], headers: dict[str, str]) -> None:
        self.answers, self._headers = answers, headers

    @asynccontextmanager
    async def post(self, url: str, *, json: object) -> AsyncIterator[Answered]:
        await asyncio.sleep(0)
        status = self.answers.pop(0)
        yield Answered(status, self._headers if status == 429 else {})


class Answered:
    """A response."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers

    async def text(self) -> str:
        return '{"choices": [{"message": {"content": "yes"}}]}'

    async def read(self) -> bytes:
        return b'{"error": {"message": "Too many\\nrequests."}}'


class Service:
    """Answers like the service; `fails` lists statuses to answer first, per path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.fails: dict[str, list[int]] = {}
        self.cut: set[str] = set()
        self.hold = ""
        self.ended = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append((request.path, body, dict(request.headers)))
        if self.fails.get(request.path):
            status = self.fails[request.path].pop(0)
            return web.Response(status=status, headers={"retry-after": "0"})
        if request.path == "/v1/search":
            return web.json_response({"results": [{"id": "other"}, {"id": "history"}]})
        if request.path == "/v1/evaluations":
            return web.json_response(self.evaluation(body))
        return await self.chat(request, body)

    def evaluation(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["answer"] == "unjudgeable":
            return {"score": 0, "judge": None, "judge_error": "The judge did not answer."}
        score = 0.9 if any(each in body["answer"] for each in body["reference"]) else 0.2
        judge = {"score": score, "why": "So it is.", "model": body["judge"], "prompt": "p@1"}
        return {"score": score, "judge": {**judge, "prompt_tokens": 10, "completion_tokens": 2}}

    async def chat(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        question = body["messages"][0]["content"]
        if question == self.hold:
            await self.ended.wait()
        text, usage = ANSWERS[question], {"prompt_tokens": 100, "completion_tokens": 10}
        headers = {"x-llmops-release": "1.0.0-abc"}
        if not body.get("stream"):
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            whole = {"choices": [choice], "usage": usage, "supported": True, "feature": "support"}
            return web.json_response(whole, headers=headers)
        stream = web.StreamResponse(headers=headers)
        await stream.prepare(request)
        events: list[dict[str, Any]] = [
            {"choices": [{"delta": {"content": each}, "finish_reason": None}]} for each in text
        ]
        if question not in self.cut:
            last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "supported": True}
            events.append(last)
            events.append({"choices": [], "usage": usage})
        for event in events:
            await stream.write(f"data: {json.dumps(event)}\n\n".encode())
        await stream.write(b"data: [DONE]\n\n")
        return stream


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A running service."""
    served = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    served.ended.set()
    await runner.cleanup()


async def run(service: Service, **changes: Any) -> eval_schema.Result:
    target = changes.pop("target", Target(f"{service.url}/v1", token="secret"))
    return await evaluated(Plan(target, GOLDEN, "test", **changes), lambda *_: None)


@pytest.mark.parametrize("stream", [True, False])
async def test_every_question_is_asked_and_scored(service: Service, stream: bool) -> None:
    found = await run(service, stream=stream)
    rows = {row.id: row.metrics for row in found.rows}
    assert [rows[each]["correct"] for each in ("right", "wrong", "none")] == [1, 0, 1]
    assert (rows["right"]["hit_at_1"], rows["right"]["hit_at_3"]) == (0, 1)
    assert "hit_at_1" not in rows["none"]
    assert (rows["right"]["prompt_tokens"], rows["right"]["supported"]) == (100, 1)
    assert ("first_token_ms" in rows["right"]) is stream
    figures = found.figures
    assert figures["correct"].value == pytest.approx(2 / 3, abs=1e-5)
    assert figures["hit_at_3"].n == 2
    assert (figures["refusal_precision"].value, figures["refusal_recall"].value) == (1, 1)
    assert found.releases == {"1.0.0-abc": 3}
    assert found.latency_ms is not None and found.latency_ms.p99 > 0
    paths = Counter(path for path, _, _ in service.asked)
    assert paths == {"/v1/chat/completions": 3, "/v1/search": 2}
    assert all(headers["Authorization"] == "Bearer secret" for *_, headers in service.asked)


async def test_the_result_fits_its_schema_and_is_read_again(
    service: Service, tmp_path: Any
) -> None:
    found = await run(service, judge="openai/gpt-4o-mini")
    value = json.loads(found.text())
    jsonschema.validate(value, eval_schema.schema())
    assert "secret" not in found.text()
    (tmp_path / "result.json").write_text(found.text())
    assert eval_schema.load(tmp_path / "result.json") == found


async def test_costs_come_from_the_prices_given(service: Service) -> None:
    found = await run(service, prompt_price=0.5, completion_price=2.0)
    assert found.figures["cost_micro_usd"].value == 100 * 0.5 + 10 * 2.0


async def test_a_judge_scores_and_is_calibrated(service: Service) -> None:
    graded = [
        Graded("q", ("yes",), "yes it is", 1.0),
        Graded("q", ("yes",), "no", 0.0),
        Graded("q", ("yes",), "yes", 0.8),
        Graded("q", ("yes",), "unjudgeable", 0.0),
    ]
    found = await run(service, judge="openai/gpt-4o-mini", calibration=("people.jsonl", graded))
    assert [row.metrics["judge"] for row in found.rows] == [0.9, 0.2, 0.2]
    assert found.rows[0].judge_why == "So it is."
    judge = found.judge
    assert judge is not None and judge.calibration is not None
    assert (judge.prompt, judge.failed, judge.prompt_tokens) == ("p@1", 0, 60)
    assert (judge.calibration.n, judge.calibration.failed) == (3, 1)
    assert judge.calibration.kappa.value == 1
    assert judge.calibration.spearman.value == pytest.approx(0.866, abs=1e-3)
    assert any("The judge did not answer" in note for note in found.notes)


async def test_what_came_too_early_or_was_lost_is_sent_again_and_counted(service: Service) -> None:
    service.fails = {"/v1/chat/completions": [429, 503], "/v1/search": [502]}
    found = await run(service, concurrency=1)
    assert (found.failed, found.retried) == (0, 1)
    assert found.rows[0].retries == 3


async def test_a_request_that_fails_is_not_correct_and_says_how(service: Service) -> None:
    service.fails = {"/v1/chat/completions": [500]}
    service.cut = {NONE.text}
    found = await run(service, concurrency=1)
    errors = {row.id: row.error for row in found.rows}
    assert errors == {"right": "HTTP 500", "wrong": None, "none": "the stream was cut"}
    assert found.failed == 2 and found.rows[0].metrics == {
        "correct": 0.0, "hit_at_1": 0.0, "hit_at_3": 1.0, "hit_at_5": 1.0
    }  # fmt: skip


async def test_a_service_without_search_is_scored_without_it(service: Service) -> None:
    service.fails = {"/v1/search": [404, 404]}
    found = await run(service)
    assert "hit_at_1" not in found.figures
    assert found.notes == ["2 times search: HTTP 404"]


async def test_if_nothing_answers_it_is_told_in_one_sentence(service: Service) -> None:
    gone = Target("http://127.0.0.1:9")
    with pytest.raises(CloudError, match="No question was answered by"):
        await run(service, target=gone)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_service_that_will_answer_nobody_is_asked_once(
    service: Service, status: int
) -> None:
    service.fails = {"/v1/chat/completions": [status] * 9}
    with pytest.raises(CloudError, match=f"HTTP {status}"):
        await run(service)
    assert sum(path == "/v1/chat/completions" for path, _, _ in service.asked) == 1


async def test_a_service_that_limits_rates_is_waited_for_and_loses_no_question() -> None:
    answers, clock = [429] * 6 + [200], Clock()
    session = Scripted(answers, {"retry-after": "40"})
    said = await Asking(session, Target("http://x"), clock, clock.sleep).chat("q", stream=False)
    assert (said.content, said.retries, said.error) == ("yes", 6, None)
    assert clock.now == 240


async def test_a_service_that_asks_for_more_patience_than_there_is_fails_the_question() -> None:
    clock = Clock()
    session = Scripted([429] * 9, {"retry-after": "3600"})
    said = await Asking(session, Target("http://x"), clock, clock.sleep).chat("q", stream=False)
    assert (said.content, said.error, clock.now) == (None, "HTTP 429: Too many requests", 0)
    session = Scripted([429] * 99, {"retry-after": "50"})
    said = await Asking(session, Target("http://x"), clock, clock.sleep).chat("q", stream=False)
    assert said.content is None and clock.now == 300


async def test_that_the_service_asks_for_patience_is_told_once_for_all_who_wait() -> None:
    clock, told = Clock(), list[str]()
    session = Scripted([429, 429, 200, 200], {"retry-after": "40"})
    asking = Asking(session, Target("http://x"), clock, clock.sleep, told.append)
    await asyncio.gather(*(asking.chat(each, stream=False) for each in "ab"))
    assert told == ["the service asks for 40 s of patience (HTTP 429)"]


async def test_while_one_question_waits_for_a_rate_limit_so_do_the_others() -> None:
    clock = Clock()
    session = Scripted([429, 200, 200], {"retry-after": "30"})
    asking = Asking(session, Target("http://x"), clock, clock.sleep)
    await asking.chat("q", stream=False)
    assert clock.now == 30
    session.answers, clock.now = [200], 10.0
    await asking.chat("another", stream=False)
    assert clock.now == 30


async def test_interrupted_it_keeps_what_was_answered(service: Service) -> None:
    asked = asyncio.Event()

    def progress(done: int, total: int, what: str) -> None:
        asked.set()

    service.hold = NONE.text
    plan = Plan(Target(service.url), GOLDEN, "test", concurrency=2)
    running = asyncio.ensure_future(evaluated(plan, progress))
    await asyncio.wait_for(asked.wait(), 10)
    running.cancel()
    found = await running
    assert [row.id for row in found.rows] == ["right", "wrong"]
    assert found.interrupted and found.asked == 2
    assert found.notes == ["interrupted: 2 of 3 questions were asked"]


async def test_a_feature_that_the_service_does_not_have_is_noted(service: Service) -> None:
    found = await run(service, target=Target(service.url, feature="nope"), stream=False)
    assert found.notes == ["3 times answered by the feature support, not by the one asked for"]


async def test_a_feature_is_asked_by_its_header(service: Service) -> None:
    await run(service, target=Target(service.url, feature="support"))
    assert service.asked[0][2]["x-llmops-feature"] == "support"
    assert "Authorization" not in service.asked[0][2]
