"""The service behind Lambda's events, in a process of its own as Lambda runs it: one container, one
module, several invocations."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from lambda_container import CONTAINER

from llm_service import sample

QUESTION = "At what temperature does the dishwasher rinse?"


def invoked(*events: dict[str, Any], **variables: str) -> tuple[list[Any], list[dict[str, Any]]]:
    """What one container answers to the events, and the metrics it wrote."""
    ran = subprocess.run(
        [sys.executable, "-c", CONTAINER],
        input="".join(json.dumps(event) + "\n" for event in events),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": "handbook",
            "CORPUS_URI": str(sample.FOLDER / "documents.jsonl"),
            "BEARER_TOKENS": '{"current": "secret-token"}',
            "RELEASE": "1.0.0-0a1b2c3d",
            **variables,
        },
    )
    lines = ran.stdout.splitlines()
    answers = [json.loads(line[7:]) for line in lines if line.startswith("ANSWER ")]
    return answers, [json.loads(line) for line in lines if line.startswith("{")]


def over_http(path: str, body: Any, *, token: str = "secret-token") -> dict[str, Any]:
    """What a function URL or an HTTP API sends (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "host": "handbook.example",
        },
        "requestContext": {
            "http": {"method": "POST", "path": path, "sourceIp": "192.0.2.1"},
            "stage": "$default",
        },
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "isBase64Encoded": True,
    }


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": QUESTION}], **more}


@pytest.fixture(scope="module")
def answered() -> tuple[list[Any], list[dict[str, Any]]]:
    return invoked(
        over_http("/v1/chat/completions", chat()),
        over_http("/v1/chat/completions", chat(stream=True)),
        over_http("/v1/chat/completions", chat(), token="another"),
        over_http("/v1/search", {"query": "dishwasher"}),
    )


def test_a_container_answers_one_event_after_the_other(answered: Any) -> None:
    (whole, streamed, refused, found), _ = answered
    assert "82 degrees" in json.loads(whole["body"])["choices"][0]["message"]["content"]
    assert streamed["body"].rstrip().endswith("data: [DONE]")
    assert (refused["statusCode"], json.loads(refused["body"])["error"]["code"]) == (
        401,
        "invalid_api_key",
    )
    assert json.loads(found["body"])["results"]
    assert whole["headers"]["x-llmops-release"] == "1.0.0-0a1b2c3d"


def test_the_metrics_of_an_invocation_are_out_before_it_ends(answered: Any) -> None:
    """Lambda freezes the process afterwards."""
    _, lines = answered
    asked = [line for line in lines if "Requests" in line]
    assert [line["status"] for line in asked] == [200, 200, 401, 200]
    assert all(line["release"] == "1.0.0-0a1b2c3d" for line in asked)


def test_a_batch_of_a_queue_goes_to_the_jobs() -> None:
    """A job that nobody knows any more is done with: it is not received for ever."""
    record = {"messageId": "m-1", "body": "job_unknown", "eventSource": "aws:sqs"}
    (answer,), _ = invoked({"Records": [record]})
    assert answer == {"batchItemFailures": []}


def test_the_schedules_event_is_answered_before_the_service_begins() -> None:
    """A corpus that cannot be had would be told by the first event of another kind."""
    answers, lines = invoked({"llmops": "keep-warm"}, CORPUS_URI="s3://nowhere/corpus.jsonl")
    assert (answers, lines) == ([{}], [])


def test_a_function_without_settings_says_what_is_missing() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        invoked(over_http("/v1/search", {}), BEARER_TOKENS="")
    assert "BEARER_TOKENS" in caught.value.stderr
