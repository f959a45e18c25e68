"""Jobs over HTTP, on the service as it is started: by its own runners, by a worker, by Lambda."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from llm_service import sample
from llm_service.jobs import process

DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
CHAT = {"messages": [{"role": "user", "content": "What is the name of the head roaster?"}]}
NAMES = ("alice", "bob")
TOKENS = json.dumps(
    {
        "tokens": [
            {"name": name, "sha256": [hashlib.sha256(name.encode()).hexdigest()]} for name in NAMES
        ]
    }
)
DEADLINE = 25.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    json: Any


@dataclass(frozen=True)
class Client:
    """Posts and gets with a token."""

    url: str
    token: str = "alice"

    def post(self, body: object, path: str = "/v1/jobs", **headers: str) -> Answer:
        return self._send(path, json.dumps(body).encode(), headers)

    def get(self, job_id: str) -> Answer:
        return self._send(f"/v1/jobs/{job_id}", None, {})

    def ended(self, job_id: str) -> Any:
        """The job once it has ended."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            found = self.get(job_id)
            if found.json["status"] not in ("queued", "running"):
                assert "retry-after" not in found.headers
                return found.json
            assert int(found.headers["retry-after"]) >= 1
            time.sleep(0.02)
        raise AssertionError("the job never ended")

    def _send(self, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        given = {
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        request = urllib.request.Request(self.url + path, body, given)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, json.load(answer))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, json.load(error))


@pytest.fixture(scope="module")
def jobs(start: Callable[..., Any]) -> Client:
    """A service that runs its own jobs, in memory."""
    return Client(start(CORPUS_URI=DOCUMENTS, BEARER_TOKENS=TOKENS, JOBS_CAPACITY="50").url)


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        ("/v1/chat/completions", CHAT, "chat.completion"),
        ("/v1/chat/completions", {**CHAT, "stream": True}, "chat.completion"),
        ("/v1/evaluations", {"question": "q", "reference": "a", "answer": "a"}, "evaluation"),
    ],
)
def test_a_job_is_taken_done_and_fetched(
    jobs: Client, endpoint: str, body: dict[str, Any], kind: str
) -> None:
    taken = jobs.post({"endpoint": endpoint, "body": body, "metadata": {"run": "7"}})
    assert taken.status == 202
    assert taken.json["object"] == "job" and taken.json["metadata"] == {"run": "7"}
    assert taken.headers["location"] == f"/v1/jobs/{taken.json['id']}"
    done = jobs.ended(taken.json["id"])
    assert done["status"] == "succeeded" and done["error"] is None
    assert done["result"]["object"] == kind
    assert done["created_at"] <= done["finished_at"] < done["expires_at"]


def test_a_search_is_a_job_too(jobs: Client) -> None:
    taken = jobs.post({"endpoint": "/v1/search", "body": {"query": "head roaster", "top_k": 2}})
    found = jobs.ended(taken.json["id"])["result"]["results"]
    assert found[0]["id"] == "leadership-team" and len(found) == 2


def test_a_chat_that_is_refused_fails_with_the_chats_own_error(jobs: Client) -> None:
    body = {**CHAT, "model": "nobody-has-this"}
    taken = jobs.post({"endpoint": "/v1/chat/completions", "body": body})
    failed = jobs.ended(taken.json["id"])
    assert failed["status"] == "failed" and failed["result"] is None
    assert (failed["error"]["code"], failed["error"]["status"]) == ("model_not_found", 404)


def test_the_same_key_gives_the_same_job(jobs: Client) -> None:
    asked = {"endpoint": "/v1/search", "body": {"query": "tea"}}
    first, second = (jobs.post(asked, idempotency_key="k-1") for _ in range(2))
    assert first.json["id"] == second.json["id"] and second.status == 202
    other = jobs.post({**asked, "body": {"query": "coffee"}}, idempotency_key="k-1")
    assert (other.status, other.json["error"]["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"endpoint": "/v1/models", "body": {}}, "endpoint"),
        ({"body": {}}, "endpoint"),
        ({"endpoint": "/v1/search", "body": {}}, "body.query"),
        (
            {"endpoint": "/v1/evaluations", "body": {"question": "q"}},
            "body.reference",
        ),
        (
            {"endpoint": "/v1/search", "body": {"query": "a"}, "metadata": {"a": 1}},
            "metadata.a",
        ),
        ({"endpoint": "/v1/search", "body": [1]}, "body"),
        ([], None),
    ],
)
def test_what_is_no_job_is_refused_at_once(jobs: Client, asked: Any, param: str | None) -> None:
    found = jobs.post(asked)
    assert found.status == 400
    assert param is None or found.json["error"]["param"] == param


def test_a_body_of_any_depth_or_letters_is_no_crash(jobs: Client) -> None:
    for depth in (100, 400, 900, 980, 990, 5000):
        nested = b'{"endpoint": "/v1/chat/completions", "body": {"messages": %s%s}}'
        taken = jobs._send("/v1/jobs", nested % (b"[" * depth, b"]" * depth), {})
        assert taken.status in (202, 400), depth
    surrogate = b'{"endpoint": "/v1/chat/completions", "body": {"model": "\\ud800"}}'
    failed = jobs.ended(jobs._send("/v1/jobs", surrogate, {}).json["id"])
    assert (failed["status"], failed["error"]["status"]) == ("failed", 400)
    assert jobs.get("%00").status == 404


def test_a_key_must_be_a_visible_word(jobs: Client) -> None:
    found = jobs.post({"endpoint": "/v1/search", "body": {"query": "a"}}, idempotency_key="a b")
    assert (found.status, found.json["error"]["param"]) == (400, "idempotency-key")


def test_a_job_that_nobody_submitted_is_not_found_and_strangers_see_none(jobs: Client) -> None:
    assert jobs.get("job_none").status == 404
    assert Client(jobs.url, "wrong").get("job_none").status == 401
    assert Client(jobs.url, "wrong").post({}).status == 401


def test_a_job_is_not_shown_to_another_principal(jobs: Client) -> None:
    taken = jobs.post({"endpoint": "/v1/search", "body": {"query": "tea"}}).json["id"]
    assert jobs.ended(taken)["status"] == "succeeded"
    assert Client(jobs.url, "bob").get(taken).status == 404


@pytest.fixture
def variables(moto_url: str, where: dict[str, str], account: dict[str, str]) -> dict[str, str]:
    """What a service with a queue and its workers are started with."""
    sqs = boto3.client("sqs", endpoint_url=moto_url)
    url = sqs.create_queue(QueueName=f"jobs-{where['DATABASE_NAME']}")["QueueUrl"]
    return {
        **account,
        **where,
        "CORPUS_URI": DOCUMENTS,
        "BEARER_TOKENS": TOKENS,
        "JOBS_QUEUE_URL": url,
        "JOBS_ENDPOINT_URL": moto_url,
    }


LAMBDA = """
import json, sys
from llm_service.jobs.consumer import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 30_000

for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), Context())), file=sys.stderr, flush=True)
"""


def consume(variables: dict[str, str], *events: Any) -> list[Any]:
    """What the Lambda function answers to the events, in one container."""
    done = subprocess.run(
        [sys.executable, "-c", LAMBDA],
        input="\n".join(map(json.dumps, events)),
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"batch')]


def test_the_lambda_consumer_and_a_worker_do_them_by_the_same_code(
    start: Callable[..., Any], variables: dict[str, str], tmp_path: Path, moto_url: str
) -> None:
    client = Client(start(**variables).url)
    chat = {"endpoint": "/v1/chat/completions", "body": CHAT}
    first, second, third = (client.post(chat).json["id"] for _ in range(3))
    assert client.get(first).json["status"] == "queued"
    one = {"Records": [{"messageId": "m1", "body": first}]}
    two = {"Records": [{"messageId": "m2", "body": second}, {"messageId": "m3", "body": first}]}
    assert consume(variables, one, two) == [{"batchItemFailures": []}] * 2
    with (tmp_path / "err").open("wb") as err:
        worker = subprocess.Popen(
            [sys.executable, "-m", "llm_service", "worker"],
            env={"PATH": os.environ["PATH"], **variables},
            stderr=err,
        )
    try:
        answers = [client.ended(each)["result"]["choices"][0] for each in (first, second, third)]
        assert all("Kavanagh" in each["message"]["content"] for each in answers)
        worker.send_signal(signal.SIGTERM)
        url = variables["JOBS_QUEUE_URL"]
        boto3.client("sqs", endpoint_url=moto_url).send_message(QueueUrl=url, MessageBody="last")
        assert worker.wait(timeout=DEADLINE) == 0
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_without_a_queue_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert process.main(["--no-auth", "--corpus", DOCUMENTS]) == 2
    assert "set JOBS_QUEUE_URL" in capsys.readouterr().err
