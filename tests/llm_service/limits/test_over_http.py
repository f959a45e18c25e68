"""Limits and budgets as the official client meets them, by one task and by two."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import openai
import pytest
from valkey_server import ValkeyServer

from llm_service.sample import FOLDER

QUESTION = "What is the name of the head roaster?"
Start = Callable[..., Any]


def secret(**more: Any) -> str:
    hashes = [hashlib.sha256(token.encode()).hexdigest() for token in ("new", "old")]
    return json.dumps({"tokens": [{"name": "web", "sha256": hashes, **more}]})


def client(server: Any, token: str = "new") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=token, max_retries=0)


def ask(connected: openai.OpenAI, **more: Any) -> Any:
    return connected.chat.completions.with_raw_response.create(
        model="default", messages=[{"role": "user", "content": QUESTION}], **more
    )


def answered(connected: openai.OpenAI, number: int) -> int:
    """How many of `number` questions are answered."""
    count = 0
    for _ in range(number):
        try:
            ask(connected)
            count += 1
        except openai.RateLimitError:
            continue
    return count


@pytest.fixture
def task(start: Start) -> Iterator[Callable[..., Any]]:
    """Starts a task over the sample corpus, and ends it after the test."""
    started: list[Any] = []

    def run(**variables: str) -> Any:
        server = start(CORPUS_URI=str(FOLDER / "documents.jsonl"), **variables)
        started.append(server)
        return server

    yield run
    for server in started:
        server.process.terminate()
        server.process.wait(15)


def test_a_clients_limit_comes_with_its_headers_and_is_refused_as_openai_does(
    task: Callable[..., Any],
) -> None:
    server = task(BEARER_TOKENS=secret(requests_per_minute=3, tokens_per_minute=100_000))
    first = ask(client(server))
    assert first.headers["x-ratelimit-limit-requests"] == "3"
    assert first.headers["x-ratelimit-remaining-requests"] == "2"
    assert 0 < int(first.headers["x-ratelimit-remaining-tokens"]) <= 100_000
    streamed = ask(client(server, "old"), stream=True)
    assert streamed.headers["x-ratelimit-remaining-requests"] == "1"
    assert len(list(streamed.parse())) > 3
    ask(client(server))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client(server, "old"))
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 20


def test_searches_and_evaluations_are_requests_too_and_take_no_tokens(
    task: Callable[..., Any],
) -> None:
    server = task(BEARER_TOKENS=secret(requests_per_minute=3, tokens_per_minute=100_000))
    evaluation = {"question": "Q?", "reference": "A", "answer": "A"}
    asked = [("search", {"query": "roaster"}), ("evaluations", evaluation)]
    headers = {"authorization": "Bearer new"}
    found = [
        httpx.post(f"{server.url}/v1/{path}", json=body, headers=headers)
        for path, body in (asked * 2)
    ]
    assert [each.status_code for each in found] == [200, 200, 200, 429]
    assert found[2].headers["x-ratelimit-remaining-requests"] == "0"
    assert found[2].headers["x-ratelimit-remaining-tokens"] == "100000"
    assert found[3].json()["error"]["code"] == "rate_limit_exceeded"
    assert int(found[3].headers["retry-after"]) >= 1


def test_a_spent_budget_is_insufficient_quota_and_its_thresholds_are_told(
    task: Callable[..., Any],
) -> None:
    server = task(BEARER_TOKENS=secret(budget_micro_usd_per_day=0.5))
    ask(client(server))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client(server))
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    for percent in (80, 90, 95, 100):
        server.wait_for_log(f"{percent} % of the day's budget of token:web is spent")


def test_two_tasks_share_a_limit_over_valkey(
    task: Callable[..., Any], valkey_server: ValkeyServer
) -> None:
    more = {"VALKEY_URL": valkey_server.url, "SERVICE_NAME": "two-tasks"}
    tasks = [task(BEARER_TOKENS=secret(requests_per_minute=40), **more) for _ in range(2)]
    began = time.monotonic()
    count = sum(answered(client(one), 40) for one in tasks)
    minutes = (time.monotonic() - began) / 60
    assert 38 <= count <= 40 * (1.25 + minutes) + 2


def test_two_tasks_share_the_services_budget_over_the_database(
    task: Callable[..., Any], where: dict[str, str]
) -> None:
    more = {"DAY_BUDGET_MICRO_USD": "0.5", **where}
    tasks = [task(BEARER_TOKENS=secret(), **more) for _ in range(2)]
    ask(client(tasks[0]))
    tasks[0].wait_for_log("100 % of the day's budget of service is spent")
    for _ in range(200):
        try:
            ask(client(tasks[1]))
        except openai.RateLimitError as error:
            assert error.code == "insufficient_quota"
            break
    else:
        pytest.fail("the second task never learnt what the first one spent")
    assert "budget of service is spent" not in tasks[1].stderr.read_text()
