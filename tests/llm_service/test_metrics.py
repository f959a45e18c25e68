"""One EMF line on standard output per chat or search request, and one per scored answer."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.calls import Usage
from llm_service.names import Names
from llm_service.prices import Price, price
from llm_service.telemetry import Dimensions, Exchange, emf

EVERY = {
    "Requests": "Count",
    "Errors": "Count",
    "Latency": "Milliseconds",
    "GuardrailHits": "Count",
}
ANSWERED = {
    "Answers": "Count",
    "FirstToken": "Milliseconds",
    "Cost": "None",
    "Tokens": "Count",
    "PromptTokens": "Count",
    "CompletionTokens": "Count",
    "Refusals": "Count",
    "RetrievalHits": "Count",
}
CHATTED = {"Injections": "Count"}
PROVIDERS = {"ProviderErrors": "Count", "ProviderTimeouts": "Count"}
QUESTION = "At what temperature does the undercounter dishwasher rinse?"
STRANGE = "Who was the first astronaut on the moon of Jupiter?"
SET = ["service", "environment", "release"]


def requests(server: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.lines("path")
    return found


@pytest.fixture
def chat(server: Any) -> Callable[..., dict[str, Any]]:
    """Posts a request, to chat unless told, and returns the EMF line that came of it."""

    def post(
        body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
    ) -> dict[str, Any]:
        before = len(requests(server))
        sent = {"authorization": "Bearer new-token", **headers}
        httpx.post(f"{server.url}{path}", json=body, headers=sent)
        end = time.monotonic() + 5
        while len(found := requests(server)) == before:
            assert time.monotonic() < end, "no line came"
        assert len(found) == before + 1
        return found[-1]

    return post


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def units(directive: dict[str, Any]) -> dict[str, str]:
    return {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}


def test_the_line_of_an_answer_is_valid_embedded_metric_format(chat: Any) -> None:
    line = chat(asking(QUESTION))
    common, further, failures = line["_aws"]["CloudWatchMetrics"]
    assert common["Namespace"] == further["Namespace"] == failures["Namespace"] == "llmops"
    assert common["Dimensions"] == [SET]
    assert units(common) == EVERY | ANSWERED | CHATTED
    labels = ("feature", "fingerprint", "provider")
    assert further["Dimensions"] == [[*SET, label] for label in labels]
    assert units(further) == {"Requests": "Count"}
    assert (failures["Dimensions"], units(failures)) == ([[*SET, "provider"]], PROVIDERS)
    assert all(isinstance(line[name], int | float) for name in EVERY | ANSWERED)
    names = {name for directive in (common, further) for s in directive["Dimensions"] for name in s}
    assert all(isinstance(line[name], str) and line[name] for name in names)
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60


def test_the_dimensions_are_service_environment_and_release(chat: Any) -> None:
    line = chat(asking(QUESTION))
    assert (line["service"], line["environment"]) == ("handbook", "test")
    assert line["release"] == "1.0.0-0a1b2c3d"
    assert (line["feature"], line["fingerprint"]) == ("default", "extractive-1")
    assert line["provider"] == "embedded"


def test_a_good_answer_is_found_given_and_priced(chat: Any) -> None:
    line = chat(asking(QUESTION))
    assert (line["Requests"], line["Answers"], line["Errors"]) == (1, 1, 0)
    assert (line["Refusals"], line["RetrievalHits"], line["GuardrailHits"]) == (0, 1, 0)
    assert line["Tokens"] == line["PromptTokens"] + line["CompletionTokens"]
    known = price("handbook-extractive-1")
    assert known and line["Cost"] == known.of(line["PromptTokens"], line["CompletionTokens"])
    assert (line["status"], line["path"]) == (200, "/v1/chat/completions")


def test_a_declined_question_is_a_refusal_without_a_retrieval_hit(chat: Any) -> None:
    line = chat(asking(STRANGE))
    assert (line["Refusals"], line["RetrievalHits"], line["Errors"]) == (1, 0, 0)


def test_the_first_token_is_ready_before_the_last_byte_is_out(chat: Any) -> None:
    line = chat(asking(QUESTION, stream=True))
    assert 0 < line["FirstToken"] < line["Latency"]


def test_a_streamed_answer_is_measured_like_a_whole_one(chat: Any) -> None:
    whole, streamed = chat(asking(QUESTION)), chat(asking(QUESTION, stream=True))
    timed = {"Latency", "FirstToken"}
    for name in (EVERY | ANSWERED).keys() - timed:
        assert streamed[name] == whole[name], name


@pytest.mark.parametrize(("body", "token"), [({}, "new-token"), (asking("x"), "wrong")])
def test_a_refused_request_has_no_metrics_of_an_answer(chat: Any, body: Any, token: str) -> None:
    line = chat(body, authorization=f"Bearer {token}")
    assert (line["Requests"], line["Errors"], line["GuardrailHits"]) == (1, 0, 0)
    common, further = line["_aws"]["CloudWatchMetrics"]
    assert units(common) == EVERY
    assert further["Dimensions"] == [[*SET, "feature"]]


@pytest.mark.parametrize("size", [40_000, 1_100_000])
def test_a_question_beyond_the_limits_is_a_guardrail_hit(chat: Any, size: int) -> None:
    line = chat(asking("x" * size))
    assert (line["GuardrailHits"], line["Errors"]) == (1, 0)
    assert line["status"] in (400, 413)


def test_a_metric_that_nothing_measures_yet_is_absent(chat: Any) -> None:
    line = chat(asking(QUESTION))
    assert not {"CacheHits", "PoorAnswers", "ScoringSpend", "Quality"} & set(line)


def test_the_line_names_the_callers_request(chat: Any) -> None:
    assert chat(asking(QUESTION), **{"x-request-id": "abc-1"})["request_id"] == "abc-1"
    assert chat(asking(QUESTION), **{"x-request-id": 'a"b'})["request_id"].startswith("req_")


def test_the_feature_is_the_headers_or_the_bodys(chat: Any) -> None:
    header = {"x-llmops-feature": "kiosk"}
    assert chat(asking(QUESTION), **header)["feature"] == "kiosk"
    assert chat(asking(QUESTION, metadata={"feature": "till"}))["feature"] == "till"
    assert chat(asking(QUESTION, metadata={"feature": "till"}), **header)["feature"] == "kiosk"
    assert chat({"query": "coffee"}, path="/v1/search", **header)["feature"] == "kiosk"


@pytest.mark.parametrize("metadata", [None, [], "x", {}, {"feature": 7}, {"feature": "a b"}])
def test_metadata_without_a_usable_feature_are_the_default(chat: Any, metadata: Any) -> None:
    assert chat(asking(QUESTION, metadata=metadata))["feature"] == "default"


def test_names_of_callers_are_few_and_harmless() -> None:
    names = Names(most=2)
    assert [names.of(given) for given in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]
    assert [names.of(given) for given in (None, "", 'x"', "x" * 65, 3)] == ["default"] * 5
    assert Names().of("4111111111111111") == "default"


def test_a_name_that_a_stranger_sends_is_not_learnt() -> None:
    names = Names(most=1)
    assert names.of("theirs", learn=False) == "other"
    assert names.of("ours") == "ours"
    assert names.of("ours", learn=False) == "ours"


def test_a_search_is_a_request_without_an_answer(chat: Any) -> None:
    line = chat({"query": "coffee"}, path="/v1/search")
    assert (line["path"], line["Requests"], line["status"]) == ("/v1/search", 1, 200)
    assert "Answers" not in line


def test_other_paths_leave_no_line_of_a_request(server: Any) -> None:
    before = requests(server)
    httpx.get(f"{server.url}/healthz")
    httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer new-token"})
    assert requests(server) == before


def test_an_answer_without_a_price_has_no_cost_and_without_a_fingerprint_no_set_of_it() -> None:
    exchange = Exchange(
        request_id="r",
        path="/v1/chat/completions",
        status=200,
        began=1.0,
        first=1.5,
        ended=2.0,
        at=0.0,
        answered=True,
        usage=Usage(10, 2),
    )
    line = json.loads(emf.of_exchange(Dimensions("ns", "s", "e", "r"), exchange))
    assert "Cost" not in line
    assert line["FirstToken"] == 500
    common, further = line["_aws"]["CloudWatchMetrics"]
    assert "Cost" not in units(common)
    assert further["Dimensions"] == [[*SET, "feature"]]


def test_a_release_sets_its_own_price(start: Any) -> None:
    from llm_service.sample import FOLDER

    server = start(
        "--no-auth",
        "--corpus",
        str(FOLDER / "documents.jsonl"),
        RELEASE_CONFIGURATION='{"PROMPT_PRICE": 2000000, "COMPLETION_PRICE": 0}',
    )
    openai.OpenAI(base_url=f"{server.url}/v1", api_key="-").chat.completions.create(
        model="default", messages=[{"role": "user", "content": QUESTION}]
    )
    server.eventually(lambda: bool(requests(server)), "no line came")
    (line,) = requests(server)
    assert line["Cost"] == 2 * line["PromptTokens"]


def test_a_price_is_micro_dollars_per_million_tokens() -> None:
    assert Price(150_000, 600_000).of(1_000_000, 1_000) == 150_600
    assert price("no-such-model") is None


def test_every_answer_is_scored_in_a_line_of_its_own(server: Any, client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": QUESTION}]
    )

    def scores() -> list[dict[str, Any]]:
        return [line for line in server.lines() if line.get("response_id") == reply.id]

    end = time.monotonic() + 5
    while not scores():
        assert time.monotonic() < end, "no score came"
    (line,) = scores()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Dimensions"], units(directive)) == ([SET], {"Quality": "None"})
    assert 0.5 <= line["Quality"] <= 1
    assert QUESTION not in json.dumps(line)


def test_a_service_stopped_under_load_has_a_line_for_every_answer(start: Any) -> None:
    from llm_service.sample import FOLDER

    server = start("--no-auth", "--corpus", str(FOLDER / "documents.jsonl"))
    given: list[str] = []

    def ask() -> None:
        with httpx.Client() as client:
            while True:
                try:
                    reply = client.post(f"{server.url}/v1/chat/completions", json=asking(QUESTION))
                except httpx.HTTPError:
                    return
                if reply.status_code == 200:
                    given.append(reply.headers["x-request-id"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.eventually(lambda: len(given) > 20, "nothing was answered")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    for thread in threads:
        thread.join(20)
    assert set(given) <= {line["request_id"] for line in requests(server)}


def test_the_page_for_prometheus_counts_what_was_asked(chat: Any, server: Any) -> None:
    chat(asking(QUESTION))
    page = httpx.get(f"{server.url}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(page)}
    samples = families["llm_service_requests"].samples
    assert any(each.labels["provider"] == "embedded" and each.value for each in samples)
    (build,) = families["llm_service_build_info"].samples
    assert build.labels["release"] == "1.0.0-0a1b2c3d"
