"""A process of the service: how it starts, refuses to start, reads its corpus and ends."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx2 as httpx
import pytest
from fastapi import FastAPI
from moto.server import ThreadedMotoServer

from llm_service.__main__ import server_config
from llm_service.ledger import FLUSH
from llm_service.sample import FOLDER
from llm_service.scoring import CLOSE

DOCUMENTS = FOLDER / "documents.jsonl"
QUESTION = {"messages": [{"role": "user", "content": "What is the name of the head roaster?"}]}
AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}

Start = Callable[..., Any]


def refused(*flags: str, **variables: str) -> str:
    """What a service says that exits 2 instead of serving."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_service", *flags],
        env=variables,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def request(body: bytes) -> bytes:
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: service",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    return "\r\n".join([*head, "", ""]).encode()


def test_sigterm_lets_a_request_in_flight_finish_and_exits_0(start: Start) -> None:
    server = start("--corpus", str(DOCUMENTS), "--no-auth")
    body = json.dumps(QUESTION).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(request(body))
        assert line.recv(1024).startswith(b"HTTP/1.1 100")  # the request is being served
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/healthz", 0)  # the port is closed: the process drains
        line.sendall(body)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Ines Kavanagh" in answer
    assert server.process.wait(10) == 0


def test_the_log_says_where_it_listens(start: Start) -> None:
    server = start("--corpus", str(DOCUMENTS), "--no-auth")
    assert f"Listening on {server.url}\n" in server.stderr.read_text()


def test_sigterm_before_the_first_request_exits_0(start: Start) -> None:
    server = start("--corpus", str(DOCUMENTS), "--no-auth")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0


def test_an_idle_connection_outlives_a_load_balancers_patience() -> None:
    alb_idle_timeout, ecs_stop_timeout = 60, 30
    config = server_config(FastAPI())
    assert config.timeout_keep_alive > alb_idle_timeout
    assert (config.timeout_graceful_shutdown or 0) + CLOSE + FLUSH < ecs_stop_timeout


def test_a_port_that_is_taken_is_one_sentence_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused("--no-auth", "--corpus", str(DOCUMENTS), "--port", str(port))
    assert said == (
        f"Port {port} of 127.0.0.1 cannot be listened on (Address already in use): "
        "choose another.\n"
    )


def test_without_auth_only_on_loopback() -> None:
    said = refused("--no-auth", "--host", "0.0.0.0", "--corpus", str(DOCUMENTS))
    assert said.startswith("--no-auth on 0.0.0.0 would let anyone in")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "variables", "said"),
    [
        ([], {}, "There is no corpus: give --corpus FILE or set CORPUS_URI."),
        (["--corpus", "nowhere.jsonl"], {}, "There is no usable token secret"),
        (["--corpus", "nowhere.jsonl"], {}, "To try it on this machine: --no-auth."),
        (["--corpus", "nowhere.jsonl", "--no-auth"], {}, "cannot be read: No such file"),
        (["--corpus", str(DOCUMENTS), "--no-auth"], {"PORT": "http"}, "PORT is 'http'"),
        (["--corpus", str(DOCUMENTS), "--no-auth"], {"PASSAGES": "0"}, "from 1 to 20"),
        (
            ["--corpus", str(DOCUMENTS), "--no-auth"],
            {"RELEASE_CONFIGURATION": '{"PASSAGES": 21}'},
            "from 1 to 20",
        ),
        (
            ["--corpus", str(DOCUMENTS), "--no-auth"],
            {"RELEASE_CONFIGURATION": "[]"},
            "not a JSON object",
        ),
        (["--corpus", str(DOCUMENTS), "--no-auth"], {"ANSWER_PROMPT": "9"}, "choose one of 1.0.0"),
        *(
            (["--corpus", str(DOCUMENTS), "--no-auth"], variables, said)
            for variables, said in (
                ({"PROMPT_PRICE": "1"}, "PROMPT_PRICE is set alone"),
                ({"PROMPT_PRICE": "-1", "COMPLETION_PRICE": "1"}, "PROMPT_PRICE is '-1'"),
                ({"QUALITY_SAMPLE": "2"}, "a number from 0 to 1"),
                ({"QUALITY_SAMPLE": "nan"}, "a number from 0 to 1"),
                ({"SCORER_URL": "judge"}, "SCORER_URL is no http(s) address"),
                ({"SCORER_URL": "https://judge/v1"}, "without SCORER_MODEL"),
                (
                    {"SCORER_URL": "https://judge/v1", "SCORER_MODEL": "mine"},
                    "There is no price of mine",
                ),
            )
        ),
        (
            ["--corpus", str(DOCUMENTS), "--no-auth"],
            {"DATABASE_HOST": "db"},
            "without DATABASE_USER and DATABASE_PASSWORD",
        ),
    ],
)
def test_a_wrong_start_is_one_sentence_and_exit_2(
    flags: list[str], variables: dict[str, str], said: str
) -> None:
    told = refused(*flags, **variables)
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "b"}',
        '{"id": "b", "title": null, "text": "T."}',
        '{"id": "b", "title": "B", "text": ["T."]}',
        '{"id": "b", "title": "B", "text": "T \\ud800."}',
        '{"id": "b\\u0000", "title": "B", "text": "T."}',
    ],
)
def test_a_malformed_corpus_is_told_by_file_and_line(tmp_path: Path, line: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": "a", "title": "A", "text": "T."}\n' + line)
    assert "bad.jsonl, line 2 is not" in refused("--no-auth", "--corpus", str(bad))


def test_readiness_tells_release_documents_and_database(start: Start) -> None:
    server = start("--corpus", str(DOCUMENTS), "--no-auth", RELEASE="1.2.3-00000000")
    body = httpx.get(f"{server.url}/readyz").json()
    assert (body["status"], body["release"]) == ("ready", "1.2.3-00000000")
    assert body["documents"] == len(DOCUMENTS.read_text().splitlines())
    assert body["database"] == {"state": "none"}


@pytest.fixture
def bucket() -> Iterator[tuple[str, Any]]:
    """An S3 endpoint with a bucket named `artifacts`, and its client."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_bucket(Bucket="artifacts")
    yield endpoint, client
    client.close()
    server.stop()


def test_a_corpus_on_s3_is_read_once_it_is_there(start: Start, bucket: tuple[str, Any]) -> None:
    endpoint, client = bucket
    content = DOCUMENTS.read_bytes()
    key = f"corpus/{hashlib.sha256(content).hexdigest()}.jsonl"
    server = start(
        "--no-auth",
        CORPUS_URI=f"s3://artifacts/{key}",
        AWS_ENDPOINT_URL=endpoint,
        wait=False,
        **AWS,
    )
    server.wait_for("/healthz", 200)
    assert httpx.get(f"{server.url}/readyz").json()["corpus"] == "loading"
    client.put_object(Bucket="artifacts", Key=key, Body=content)
    server.wait_for("/readyz", 200)


def test_a_corpus_that_is_not_the_one_its_name_says_is_never_served(
    start: Start, bucket: tuple[str, Any]
) -> None:
    endpoint, client = bucket
    key = f"corpus/{'0' * 64}.jsonl"
    client.put_object(Bucket="artifacts", Key=key, Body=DOCUMENTS.read_bytes())
    server = start(
        "--no-auth",
        CORPUS_URI=f"s3://artifacts/{key}",
        AWS_ENDPOINT_URL=endpoint,
        wait=False,
        **AWS,
    )
    server.wait_for_log("its SHA-256 differs")
    assert server.status("/readyz") == 503
