"""Tokens that follow a secret of AWS Secrets Manager: a rotation loses nobody."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from llm_service.auth import Principal, TokensError
from llm_service.environ import SettingsError
from llm_service.errors import ApiError
from llm_service.live_tokens import LiveTokens, Version, Versions, from_environ, merged, reader

NAME = "handbook/tokens"


def plain(current: str, previous: str = "") -> str:
    return json.dumps({"current": current, "previous": previous})


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def versions(current: str, previous: str | None = None) -> Versions:
    before = Version("before", previous) if previous is not None else None
    return Versions(Version("now", current), before)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def manager(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of Secrets Manager with the secret in it."""
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    client = botocore.session.get_session().create_client("secretsmanager")
    client.create_secret(Name=NAME, SecretString=plain("one"))
    yield client
    client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def live(manager: Any) -> Iterator[LiveTokens]:
    """Tokens that follow it, and read it anew at most when they are asked to."""
    tokens = LiveTokens(reader(NAME), refresh=600)
    tokens.start()
    until(lambda: tokens.ready)
    yield tokens
    tokens.stop()


def test_the_version_is_the_secrets_own(manager: Any, live: LiveTokens) -> None:
    known = manager.get_secret_value(SecretId=NAME)["VersionId"]
    assert live.version == known == live.state()["version"]
    assert live.principal("Bearer one") == Principal("default")
    assert live.allow("Bearer two") is False


def test_a_rotation_under_requests_loses_nobody(manager: Any) -> None:
    """Half of the clients take a new token the moment it is there, the others keep theirs until
    shortly before the next rotation; the service is told of nothing."""
    tokens = LiveTokens(reader(NAME), refresh=600, clock=_Hurried())
    tokens.start()
    until(lambda: tokens.ready)
    issued, kept, asked, lost, done = ["one"], ["one"], [0], list[str](), threading.Event()

    async def client(taken: list[str]) -> None:
        while not done.is_set():
            header = f"Bearer {taken[-1]}"
            if (tokens.principal(header) or await tokens.late(header)) is None:
                lost.append(header)
            asked[0] += 1
            await asyncio.sleep(0.001)

    async def clients() -> None:
        await asyncio.gather(*(client(taken) for taken in [issued, kept] * 4))

    def more() -> None:
        seen = asked[0]
        until(lambda: asked[0] > seen + 100)

    thread = threading.Thread(target=asyncio.run, args=(clients(),))
    thread.start()
    for number in range(4):
        manager.put_secret_value(SecretId=NAME, SecretString=plain(f"token-{number}"))
        issued.append(f"token-{number}")
        more()
        kept.append(f"token-{number}")
        more()
    done.set()
    thread.join(10)
    tokens.stop()
    assert lost == []
    assert tokens.allow("Bearer token-3") and tokens.allow("Bearer token-2")
    assert not tokens.allow("Bearer token-1")


class _Hurried:
    """A clock on which every reading is long ago."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


async def test_a_stranger_with_a_token_made_just_now_is_let_in_after_a_reading(
    manager: Any,
) -> None:
    tokens = LiveTokens(reader(NAME), refresh=600, clock=_Hurried())
    tokens.start()
    await asyncio.to_thread(until, lambda: tokens.ready)
    manager.put_secret_value(SecretId=NAME, SecretString=plain("two"))
    assert tokens.principal("Bearer two") is None
    assert await tokens.late("Bearer two") == Principal("default")
    assert await tokens.late("Bearer three") is None
    tokens.stop()


async def test_many_strangers_cause_one_reading() -> None:
    readings: list[int] = []

    def read() -> Versions:
        readings.append(1)
        return versions(plain("one"))

    tokens = LiveTokens(read, refresh=600)
    tokens.start()
    await asyncio.to_thread(until, lambda: tokens.ready)
    strangers = (tokens.late(f"Bearer {number}") for number in range(200))
    assert set(await asyncio.gather(*strangers)) == {None}
    assert await tokens.late(None) is None
    assert len(readings) == 1
    tokens.stop()


def test_the_secret_is_read_again_in_its_time(manager: Any) -> None:
    tokens = LiveTokens(reader(NAME), refresh=0.05)
    tokens.start()
    until(lambda: tokens.ready)
    manager.put_secret_value(SecretId=NAME, SecretString=plain("two"))
    until(lambda: tokens.allow("Bearer two"))
    assert tokens.allow("Bearer one")
    tokens.stop()


@pytest.mark.parametrize("secret", ["no json", "{}", '{"tokens": [{"name": "geheim"}]}'])
def test_a_malformed_secret_changes_nothing_and_is_not_quoted(
    manager: Any, live: LiveTokens, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = live.version
    manager.put_secret_value(SecretId=NAME, SecretString=secret)
    live.refresh()
    assert live.allow("Bearer one")
    assert live.version == before
    assert live.failures == 1
    assert "geheim" not in caplog.text
    assert "stay valid" in caplog.text


def test_a_secrets_manager_that_is_away_changes_nothing(
    live: LiveTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Versions:
        raise TokensError("The secret x cannot be read: EndpointConnectionError.")

    monkeypatch.setattr(live, "_read", away)
    live.refresh()
    assert live.allow("Bearer one")


def test_before_the_first_reading_the_service_is_not_ready(
    caplog: pytest.LogCaptureFixture, endpoint: str, manager: Any
) -> None:
    tokens = LiveTokens(reader("no/such/secret"))
    with pytest.raises(ApiError) as caught:
        tokens.principal("Bearer one")
    assert caught.value.status == 503
    tokens.refresh()
    assert not tokens.ready
    assert "no/such/secret cannot be read: ResourceNotFoundException" in caplog.text


@pytest.mark.parametrize(
    ("current", "previous", "valid"),
    [
        (plain("c"), None, "c"),
        (plain("c"), plain("b"), "bc"),
        (plain("c", "b"), plain("b", "a"), "bc"),
        (plain("c"), plain("c", "b"), "c"),
        (plain("c"), plain("b", "a"), "bc"),
        (plain("c"), "malformed", "c"),
    ],
)
def test_of_two_versions_at_most_two_tokens_are_valid(
    current: str, previous: str | None, valid: str
) -> None:
    tokens = merged(versions(current, previous))
    assert {one for one in "abc" if tokens.allow(f"Bearer {one}")} == set(valid)


def test_a_name_that_is_gone_is_gone_and_limits_are_the_current_ones() -> None:
    def secret(**names: tuple[str, int]) -> str:
        return json.dumps(
            {
                "tokens": [
                    {
                        "name": name,
                        "sha256": [hashlib.sha256(token.encode()).hexdigest()],
                        "requests_per_minute": limit,
                    }
                    for name, (token, limit) in names.items()
                ]
            }
        )

    tokens = merged(versions(secret(web=("w2", 20)), secret(web=("w1", 10), left=("l1", 10))))
    assert tokens.principal("Bearer w1") == tokens.principal("Bearer w2")
    assert tokens.principal("Bearer w1") == Principal("web", 20)
    assert not tokens.allow("Bearer l1")


def test_settings_name_the_secret_and_the_seconds() -> None:
    assert from_environ({}) is None
    assert from_environ({"BEARER_TOKENS_SECRET": NAME})
    with pytest.raises(SettingsError, match="TOKENS_REFRESH_SECONDS is 'x'"):
        from_environ({"BEARER_TOKENS_SECRET": NAME, "TOKENS_REFRESH_SECONDS": "x"})
