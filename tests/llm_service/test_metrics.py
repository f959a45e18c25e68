"""One EMF line on standard output per chat or search request, none for anything else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest

ANSWERED = {
    "Requests": "Count",
    "Errors": "Count",
    "Latency": "Milliseconds",
    "Answers": "Count",
    "PoorAnswers": "Count",
    "Quality": "None",
    "PromptTokens": "Count",
    "CompletionTokens": "Count",
}
QUESTION = "At what temperature does the undercounter dishwasher rinse?"


@pytest.fixture
def chat(server: Any) -> Callable[..., dict[str, Any]]:
    """Posts a request, to chat unless told, and returns the EMF line that came of it."""

    def post(
        body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
    ) -> dict[str, Any]:
        before = len(server.stdout.read_text().splitlines())
        sent = {"authorization": "Bearer new-token", **headers}
        httpx.post(f"{server.url}{path}", json=body, headers=sent)
        end = time.monotonic() + 5
        while len(lines := server.stdout.read_text().splitlines()) == before:
            assert time.monotonic() < end, "no line came"
        assert len(lines) == before + 1
        line: dict[str, Any] = json.loads(lines[-1])
        return line

    return post


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_the_line_of_an_answer_is_valid_embedded_metric_format(chat: Any) -> None:
    line = chat(asking(QUESTION))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "llmops"
    assert directive["Dimensions"] == [["service", "environment", "release"]]
    assert {m["Name"]: m["Unit"] for m in directive["Metrics"]} == ANSWERED
    assert all(isinstance(line[name], int | float) for name in ANSWERED)
    assert all(isinstance(line[name], str) for name in directive["Dimensions"][0])
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 60


def test_the_dimensions_are_service_environment_and_release(chat: Any) -> None:
    line = chat(asking(QUESTION))
    assert (line["service"], line["environment"]) == ("handbook", "test")
    assert line["release"] == "1.0.0-0a1b2c3d"


def test_a_good_answer_counts_as_one_request_and_no_poor_answer(chat: Any) -> None:
    line = chat(asking(QUESTION))
    assert (line["Requests"], line["Answers"]) == (1, 1)
    assert (line["Errors"], line["PoorAnswers"]) == (0, 0)
    assert 0.5 <= line["Quality"] <= 1
    assert (line["status"], line["path"]) == (200, "/v1/chat/completions")


def test_a_declined_question_is_a_poor_answer(chat: Any) -> None:
    line = chat(asking("Who was the first astronaut on the moon of Jupiter?"))
    assert (line["PoorAnswers"], line["Quality"]) == (1, 0)


def test_a_streamed_answer_is_measured_like_a_whole_one(chat: Any) -> None:
    whole, streamed = chat(asking(QUESTION)), chat(asking(QUESTION, stream=True))
    assert streamed["Quality"] == whole["Quality"]
    assert streamed["CompletionTokens"] == whole["CompletionTokens"]


@pytest.mark.parametrize(("body", "token"), [({}, "new-token"), (asking("x"), "wrong")])
def test_a_refused_request_has_no_metrics_of_an_answer(chat: Any, body: Any, token: str) -> None:
    line = chat(body, authorization=f"Bearer {token}")
    assert (line["Requests"], line["Errors"]) == (1, 0)
    assert not {"Answers", "PoorAnswers", "Quality"} & set(line)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [m["Name"] for m in directive["Metrics"]] == ["Requests", "Errors", "Latency"]


def test_the_line_names_the_callers_request(chat: Any) -> None:
    assert chat(asking(QUESTION), **{"x-request-id": "abc-1"})["request_id"] == "abc-1"
    assert chat(asking(QUESTION), **{"x-request-id": 'a"b'})["request_id"].startswith("req_")


def test_a_search_is_a_request_without_an_answer(chat: Any) -> None:
    line = chat({"query": "coffee"}, path="/v1/search")
    assert (line["path"], line["Requests"], line["status"]) == ("/v1/search", 1, 200)
    assert "Answers" not in line


def test_other_paths_leave_no_line(server: Any) -> None:
    before = server.stdout.read_text()
    httpx.get(f"{server.url}/healthz")
    httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer new-token"})
    assert server.stdout.read_text() == before
