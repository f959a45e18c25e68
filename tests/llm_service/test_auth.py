"""Who may ask: holders of the current or of the previous token."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import openai
import pytest

from llm_service.auth import Tokens, TokensError


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
