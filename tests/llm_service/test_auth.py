"""Who may ask: holders of the current or of the previous token."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import httpx2 as httpx
import openai
import pytest

from llm_service.auth import Principal, Tokens, TokensError


@pytest.mark.parametrize("token", ["new-token", "old-token"])
def test_current_and_previous_token_are_both_valid(server: Any, token: str) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=token, max_retries=0)
    assert client.models.list().data


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "Basic new-token", "new-token"])
def test_anything_else_is_a_401_in_openais_words(server: Any, header: str | None) -> None:
    headers = {"authorization": header} if header else {}
    answer = httpx.get(f"{server.url}/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_stranger_learns_nothing_about_the_body(server: Any) -> None:
    answer = httpx.post(f"{server.url}/v1/chat/completions", content=b"{not json")
    assert answer.status_code == 401


def test_health_checks_need_no_token(server: Any) -> None:
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_an_empty_previous_token_opens_nothing() -> None:
    tokens = Tokens.parse('{"current": "one", "previous": ""}')
    assert tokens.allow("Bearer one")
    assert not tokens.allow("Bearer ")
    assert not tokens.allow("Bearer")


@pytest.mark.parametrize("secret", ["", "one", "[]", "{}", '{"current": ""}'])
def test_a_secret_without_a_token_is_refused_unquoted(secret: str) -> None:
    with pytest.raises(TokensError, match="set BEARER_TOKENS to"):
        Tokens.parse(secret)


def test_tokens_never_show_in_a_representation() -> None:
    assert "one" not in repr(Tokens.parse('{"current": "one"}'))


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def rows(*entries: dict[str, Any]) -> str:
    return json.dumps({"tokens": list(entries)})


WEB = {
    "name": "web",
    "sha256": [hashed("new"), hashed("old")],
    "requests_per_minute": 600,
    "tokens_per_minute": 90_000,
    "budget_micro_usd_per_day": 5e6,
    "at_budget": "warn",
}


@pytest.mark.parametrize("header", ["Bearer new", "bearer old", "BEARER  new "])
def test_two_hashes_of_one_name_are_valid_at_once_with_its_limits(header: str) -> None:
    tokens = Tokens.parse(rows(WEB, {"name": "batch", "sha256": [hashed("other")]}))
    assert tokens.principal(header) == Principal("web", 600, 90_000, 5e6, "warn")
    assert tokens.principal("Bearer other") == Principal("batch")
    assert tokens.principal(f"Bearer {hashed('new')}") is None
    assert tokens.principal("Bearer é\u20ac") is None


def test_both_plain_tokens_are_one_name_so_that_a_rotation_keeps_its_limits() -> None:
    tokens = Tokens.parse('{"current": "one", "previous": "two"}')
    assert tokens.principal("Bearer one") == tokens.principal("Bearer two") == Principal("default")


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([{"name": "web", "sha256": []}], "one or two SHA-256"),
        ([{"name": "web", "sha256": [hashed(text) for text in "abc"]}], "one or two SHA-256"),
        ([{"name": "web", "sha256": ["geheim"]}], "one or two SHA-256"),
        ([{"name": "web", "sha256": ["abcd"]}], "one or two SHA-256"),
        ([{"name": "web", "sha256": "geheim"}], "no usable token secret"),
        ([{"name": "web", "token": "geheim"}], "no usable token secret"),
        ([{**WEB, "requests_per_minute": 0}], "no usable token secret"),
        ([{**WEB, "at_budget": "geheim"}], "no usable token secret"),
        ([WEB, WEB], "names someone twice"),
        ([WEB, {"name": "b", "sha256": [hashed("old")]}], "one token under two names"),
    ],
)
def test_a_malformed_secret_is_refused_unquoted(entries: list[Any], why: str) -> None:
    with pytest.raises(TokensError, match=why) as caught:
        Tokens.parse(rows(*entries))
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_version_tells_two_secrets_apart_and_holds_nothing_of_them() -> None:
    one, two = Tokens.parse('{"current": "one"}'), Tokens.parse('{"current": "two"}')
    assert one.version != two.version
    assert one.version == "sha256:" + hashlib.sha256(b'{"current": "one"}').hexdigest()[:8]


async def test_a_stranger_stays_one_where_tokens_do_not_change() -> None:
    tokens = Tokens.parse('{"current": "one"}')
    assert await tokens.late("Bearer two") is None


def test_the_hash_of_a_token_is_made_without_showing_it_to_the_shell() -> None:
    made = hash_tool("new\n")
    assert (made.returncode, made.stdout) == (0, hashed("new") + "\n")
    nothing = hash_tool("")
    assert nothing.returncode == 1
    assert "no token on standard input" in nothing.stderr


def hash_tool(written: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llm_service.auth"]
    return subprocess.run(command, input=written, capture_output=True, text=True, check=False)
