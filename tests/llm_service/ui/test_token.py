"""The page goes on asking after its token was replaced: it reads the secret again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from llm_service import sample
from llm_ui.service import Answer, Client, Trouble
from llm_ui.token import EARLIEST, Token, TokenUnavailable, reader

TOKENS = '{"current": "second", "previous": "first"}'


@pytest.fixture(scope="module")
def url(start: Callable[..., Any]) -> str:
    corpus = str(sample.FOLDER / "documents.jsonl")
    return f"{start(CORPUS_URI=corpus, BEARER_TOKENS=TOKENS).url}/v1"


def test_a_token_that_is_refused_is_read_again_once_for_everybody(url: str) -> None:
    read: list[str] = []

    def reading() -> str:
        read.append("second")
        return "second"

    client = Client(url, Token("long gone", reading))
    answer = Answer("When is the till closed?")
    assert "".join(client.ask(answer, [], "visitor"))
    assert client.passages(answer) and read == ["second"]


def test_a_token_that_stays_refused_is_what_the_visitor_hears(url: str) -> None:
    with pytest.raises(Trouble, match="whoever runs it should set SERVICE_TOKEN"):
        Client(url, Token("long gone")).passages(Answer("q"))
    with pytest.raises(Trouble, match="whoever runs it should set SERVICE_TOKEN"):
        Client(url, Token("long gone", lambda: "long gone")).passages(Answer("q"))


def test_a_secret_that_cannot_be_read_is_not_asked_for_at_every_question(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times, now = [0], 100.0

    def away() -> str:
        times[0] += 1
        raise TokenUnavailable("The secret cannot be read: Throttled.")

    token = Token("first", away, lambda: now)
    assert not token.renewed("first") and not token.renewed("first")
    assert times == [1] and caplog.messages == [
        "The secret cannot be read: Throttled. The token read before stays."
    ]
    now += EARLIEST
    assert not token.renewed("first") and times == [2]
    assert token.value == "first"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """AWS Secrets Manager on a free port, where the SDK looks for it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield boto3.client("secretsmanager")
    server.stop()


def test_the_token_is_the_current_one_of_the_secret(secrets: Any) -> None:
    made = secrets.create_secret(Name="tokens", SecretString=TOKENS)
    environ = {"SERVICE_TOKEN": "first", "SERVICE_TOKEN_SECRET": made["ARN"]}
    token = Token.from_environ(environ)
    assert token.value == "first"
    assert token.renewed("first") and token.value == "second"
    secrets.put_secret_value(SecretId="tokens", SecretString=json.dumps({"other": "x"}))
    with pytest.raises(TokenUnavailable, match='is not JSON with "current"'):
        reader(made["ARN"])()
    with pytest.raises(TokenUnavailable, match="ResourceNotFoundException"):
        reader(f"{made['ARN']}-not")()
