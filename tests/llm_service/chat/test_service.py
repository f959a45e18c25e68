"""The service around a chat: who is answered by which feature, and what is told of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from provider_server import Behaviour, ProviderServer

from llm_service import sample
from llm_service.app import create_app
from llm_service.corpus import Document
from llm_service.settings import Settings

Start = Callable[..., Any]
DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
PATH = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "What is the name of the head roaster?"}]}
NEVER = ("httpx", "openai", "anthropic", "litellm", "pandas", "torch")
LATER = ("botocore", "boto3", "asyncpg", "aiohttp", "opentelemetry.sdk", "valkey", "onnxruntime")


def post(service: Any, body: dict[str, Any], **headers: str) -> Any:
    return httpx.post(f"{service.url}{PATH}", json=body, headers=headers, timeout=15)


def line(service: Any, request_id: str) -> dict[str, Any]:
    """What was recorded of a request."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [each for each in service.lines() if each.get("request_id") == request_id]
        return bool(found)

    service.eventually(there, "the request was never recorded")
    return found[0]


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = "import sys, llm_service.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*NEVER, *LATER} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("body", "headers", "feature", "label"),
    [
        ({}, {}, "answer", "default"),
        ({"model": "default"}, {}, "answer", "default"),
        ({"model": "plain"}, {}, "plain", "plain"),
        ({"metadata": {"feature": "plain"}}, {}, "plain", "plain"),
        ({"model": "tool"}, {"x-llmops-feature": "plain"}, "plain", "plain"),
        ({}, {"x-llmops-feature": "kiosk"}, "answer", "kiosk"),
        ({"model": "handbook-extractive-1"}, {}, "answer", "default"),
        ({"model": "model-a"}, {}, "answer", "default"),
    ],
)
def test_who_names_a_feature_is_answered_by_it(
    gateway: Any, provider: ProviderServer, *, body: Any, headers: Any, feature: str, label: str
) -> None:
    answer = post(gateway, {**ASKED, **body}, **headers)
    assert (answer.status_code, answer.json()["feature"]) == (200, feature)
    assert line(gateway, answer.headers["x-request-id"])["feature"] == label


def test_a_user_gets_the_same_variant_every_time(gateway: Any, provider: ProviderServer) -> None:
    models = {}
    for user in map(str, range(12)):
        found = {
            post(gateway, {**ASKED, "model": "split", "user": user}).json()["model"]
            for _ in range(2)
        }
        (models[user],) = found
    assert set(models.values()) == {"model-a", "model-b"}


def test_a_stream_that_was_cut_is_recorded_as_an_error(
    gateway: Any, provider: ProviderServer
) -> None:
    words = tuple(f"zebra{number} " for number in range(9))
    provider.script(Behaviour(words=words, gap=0.01, then="cut", after=4))
    answer = post(gateway, {**ASKED, "model": "plain", "stream": True})
    assert answer.status_code == 200
    recorded = line(gateway, answer.headers["x-request-id"])
    assert (recorded["Errors"], recorded["status"]) == (1, 502)
    assert "Answers" not in recorded


def test_an_attempt_that_failed_is_recorded(gateway: Any, provider: ProviderServer) -> None:
    provider.script(Behaviour(status=500))
    answer = post(gateway, {**ASKED, "model": "plain"})
    recorded = line(gateway, answer.headers["x-request-id"])
    assert (recorded["ProviderErrors"], recorded["provider"]) == (1, "openai")


def test_readiness_tells_how_every_part_stands(gateway: Any, provider: ProviderServer) -> None:
    post(gateway, {**ASKED, "model": "plain"})
    body = httpx.get(f"{gateway.url}/readyz").json()
    assert body["retrieval"]["method"] == "bm25 alone: no embedder is configured"
    assert len(body["bundle"]) == 64
    assert body["providers"]["configured"] == ["openai"]
    assert body["providers"]["models"]["openai/model-a"]["state"] == "closed"
    assert body["secrets"] == {"tokens": None}
    assert body["telemetry"]["lines"]["dropped"] == 0
    assert body["cache"]["store"] == "process"


def test_metrics_are_prometheus_text(gateway: Any, provider: ProviderServer) -> None:
    post(gateway, {**ASKED, "model": "plain"})
    answer = httpx.get(f"{gateway.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'llm_service_requests_total{feature="plain"' in answer.text


def test_features_are_listed_as_models(gateway: Any) -> None:
    rows = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    listed = {each["id"]: each for each in rows}
    assert len(listed) == len(rows)
    assert listed["model-b"]["owned_by"] == "feature"
    assert {"answer", "plain", "tool", "default", "model-a"} <= set(listed)
    assert (listed["plain"]["owned_by"], listed["model-a"]["owned_by"]) == ("feature", "openai")


def test_a_job_is_answered_as_a_request_is(gateway: Any, provider: ProviderServer) -> None:
    body = {"endpoint": PATH, "body": {**ASKED, "model": "plain"}}
    job = httpx.post(f"{gateway.url}/v1/jobs", json=body).json()
    seen: dict[str, Any] = {}

    def ended() -> bool:
        seen.update(httpx.get(f"{gateway.url}/v1/jobs/{job['id']}").json())
        return seen["status"] in ("succeeded", "failed")

    gateway.eventually(ended, "the job never ended")
    assert seen["result"]["choices"][0]["message"]["content"].startswith("word0")


def test_a_token_has_its_own_limits(start: Start) -> None:
    entry = {"name": "web", "sha256": [sha256(b"mine").hexdigest()], "requests_per_minute": 1}
    service = start(CORPUS_URI=DOCUMENTS, BEARER_TOKENS=json.dumps({"tokens": [entry]}))
    token = {"authorization": "Bearer mine"}
    first, second = post(service, ASKED, **token), post(service, ASKED, **token)
    assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert (second.status_code, second.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(second.headers["retry-after"]) >= 1
    assert httpx.get(f"{service.url}/readyz").json()["secrets"]["tokens"].startswith("sha256:")


def test_a_request_takes_no_more_tokens_than_its_feature_writes(
    start: Start, bundle: Path, provider: ProviderServer
) -> None:
    entry = {"name": "web", "sha256": [sha256(b"mine").hexdigest()], "tokens_per_minute": 1000}
    service = start(
        CORPUS_URI=DOCUMENTS,
        BUNDLE_URI=str(bundle),
        OPENAI_API_KEY="sk-provider",
        OPENAI_BASE_URL=provider.openai_url,
        BEARER_TOKENS=json.dumps({"tokens": [entry]}),
    )
    token = {"authorization": "Bearer mine"}
    answers = [
        post(service, {**ASKED, "model": feature, "max_tokens": 5000}, **token)
        for feature in ("short", "plain")
    ]
    assert [each.status_code for each in answers] == [200, 429]
    assert answers[1].json()["error"]["type"] == "tokens"


def test_a_feature_whose_budget_is_spent_refuses(gateway: Any, provider: ProviderServer) -> None:
    first, second = (post(gateway, {**ASKED, "model": "poor"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error"]["code"] == "insufficient_quota"


def test_an_answer_without_usage_costs_what_it_is_estimated_at(
    gateway: Any, provider: ProviderServer
) -> None:
    provider.script(Behaviour(usage=False))
    first, second = (post(gateway, {**ASKED, "model": "untold"}) for _ in range(2))
    assert first.json()["usage"]["total_tokens"] == 0
    assert (second.status_code, second.json()["error"]["code"]) == (429, "insufficient_quota")


@pytest.mark.parametrize(("feature", "then"), [("thrifty", "model-b"), ("warned", "gpt-4o-mini")])
def test_beyond_its_budget_a_feature_goes_on_as_its_file_says(
    gateway: Any, provider: ProviderServer, feature: str, then: str
) -> None:
    first, second = (post(gateway, {**ASKED, "model": feature}) for _ in range(2))
    assert [each.json()["model"] for each in (first, second)] == ["gpt-4o-mini", then]
    assert "x-llmops-budget" not in first.headers
    assert second.headers["x-llmops-budget"] == "over"
    for percent in (80, 90, 95, 100):
        told = f"{percent} % of the day's budget of feature:{feature} is spent"
        gateway.wait_for_log(told)
        assert gateway.stderr.read_text().count(told) == 1


def test_a_corpus_that_changed_is_read_again_on_sighup(start: Start, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "a", "title": "Walrus", "text": "The walrus sleeps."}\n')
    service = start("--no-auth", "--corpus", str(corpus))

    def found(query: str) -> list[str]:
        answer = httpx.post(f"{service.url}/v1/search", json={"query": query})
        return [each["id"] for each in answer.json()["results"]]

    assert (found("walrus"), found("ostrich")) == (["a"], [])
    corpus.write_text('{"id": "b", "title": "Ostrich", "text": "The ostrich runs."}\n')
    service.process.send_signal(signal.SIGHUP)
    service.eventually(lambda: found("ostrich") == ["b"], "the corpus was never read again")
    assert found("walrus") == []


async def test_the_api_alone_answers_chats_too() -> None:
    documents = [Document("a", "Walrus", "The walrus sleeps.")]
    app = create_app(Settings(corpus=DOCUMENTS), lambda: documents)
    await app.state.service.reindexer.renew()
    transport = httpx.ASGITransport(app=app.api)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as caller:
        answer = await caller.post(
            PATH, json={"messages": [{"role": "user", "content": "Where does the walrus sleep?"}]}
        )
    assert answer.json()["sources"][0]["id"] == "a"
    assert answer.headers["x-llmops-release"] == "dev"
