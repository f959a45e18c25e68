"""What a client hears when the provider fails: our words, a status that tells what to do."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from provider_server import Behaviour, ProviderServer

from llm_service.calls import ProviderError
from llm_service.chat.failing import STATUS, told


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (Behaviour(status=429, headers=(("retry-after", "7"),)), 429, "rate_limited"),
        (Behaviour(status=500), 503, "overloaded"),
        (Behaviour(status=401), 503, "unauthorized"),
        (Behaviour(status=400), 400, "refused"),
        (Behaviour(status=400, code="context_length_exceeded"), 400, "context_length_exceeded"),
        (Behaviour(body=b"<html></html>", content_type="text/html"), 502, "malformed"),
        (Behaviour(then="cut", after=2), 502, "truncated"),
    ],
)
def test_a_failure_is_told_by_status_and_code(
    gateway: Any, provider: ProviderServer, behaviour: Behaviour, status: int, code: str
) -> None:
    provider.script(behaviour)
    body = {"model": "plain", "messages": [{"role": "user", "content": "a secret question"}]}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=15)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    for secret in ("own words", "sk-provider", "a secret question"):
        assert secret not in answer.text
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 7


def test_every_kind_has_a_status_of_an_error() -> None:
    for kind, status in STATUS.items():
        error = told(ProviderError(kind, "It failed.", retry_after=0.2))
        assert error.status == status >= 400
        assert error.headers.get("retry-after") in (None, "1")
