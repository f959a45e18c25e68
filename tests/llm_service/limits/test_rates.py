"""Requests and tokens per minute of one process, as OpenAI words them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.auth import Principal
from llm_service.environ import SettingsError
from llm_service.limits import Limited, Limits, estimated
from llm_service.limits.bucket import Bucket
from llm_service.limits.refusals import duration
from llm_service.limits.settings import from_environ

WEB = Principal("web", requests_per_minute=60, tokens_per_minute=1_000)


def refused(limits: Limits, principal: Principal, tokens: int = 0) -> Limited:
    with pytest.raises(Limited) as caught:
        limits.admit(principal, "answer", tokens)
    return caught.value


def test_a_minutes_requests_may_come_at_once_and_then_one_each_second(clock: Any) -> None:
    limits = Limits(60, clock=clock)
    caller = Principal("one")
    for _ in range(60):
        limits.admit(caller, "answer", 0)
    assert refused(limits, caller).headers["retry-after"] == "1"
    clock.now += 1
    limits.admit(caller, "answer", 0)
    refused(limits, caller)
    clock.now += 3600
    for _ in range(60):
        limits.admit(caller, "answer", 0)
    refused(limits, caller)


def test_a_refusal_is_openais_429_with_its_headers(clock: Any) -> None:
    limits = Limits(clock=clock)
    limits.admit(WEB, "answer", 990)
    error = refused(limits, WEB, 100)
    assert (error.status, error.code, error.type) == (429, "rate_limit_exceeded", "tokens")
    response = error.response()
    assert json.loads(bytes(response.body))["error"]["type"] == "tokens"
    expected = {
        "retry-after": "6",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "10",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "59.4s",
    }
    assert expected.items() <= dict(response.headers).items()
    assert limits.state()["refused"] == {"requests": 0, "tokens": 1}


def test_a_request_refused_for_its_tokens_takes_no_request(clock: Any) -> None:
    limits = Limits(clock=clock)
    for _ in range(100):
        refused(limits, WEB, 1_001)
    admission = limits.admit(WEB, "answer", 1)
    assert limits.headers(admission)["x-ratelimit-remaining-requests"] == "59"


def test_a_request_larger_than_the_limit_is_told_that_waiting_does_not_help(clock: Any) -> None:
    error = refused(Limits(clock=clock), WEB, 1_001)
    assert "retry-after" not in error.headers
    assert "send a shorter one" in error.message


def test_what_was_not_used_comes_back_and_what_was_used_beyond_is_paid_later(clock: Any) -> None:
    limits = Limits(clock=clock)
    first = limits.admit(WEB, "answer", 900)
    limits.settle(first, 100)
    limits.settle(first, 100)
    second = limits.admit(WEB, "answer", 900)
    limits.settle(second, 1_400)
    assert refused(limits, WEB, 1).headers["retry-after"] == "31"
    clock.now += 31
    limits.admit(WEB, "answer", 1)


def test_two_names_have_two_limits_and_a_principals_own_goes_before_the_services(
    clock: Any,
) -> None:
    limits = Limits(1, clock=clock)
    for _ in range(60):
        limits.admit(WEB, "answer", 1)
    limits.admit(Principal("other"), "answer", 1)
    assert refused(limits, Principal("other"), 1).type == "requests"


def test_a_rotation_keeps_what_was_used_and_a_new_limit_begins_afresh(clock: Any) -> None:
    limits = Limits(clock=clock)
    for _ in range(60):
        limits.admit(Principal("web", 60), "answer", 0)
    refused(limits, Principal("web", 60))
    limits.admit(Principal("web", 120), "answer", 0)


def test_without_limits_nothing_is_refused_and_no_header_is_sent(clock: Any) -> None:
    limits = Limits(clock=clock)
    for _ in range(10_000):
        admission = limits.admit(Principal("web"), "answer", 10**9)
    limits.settle(admission, 5)
    assert limits.headers(admission) == {}


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=60))
def test_a_bucket_never_gives_more_than_its_limit_and_the_time_allow(
    steps: list[tuple[float, int]],
) -> None:
    bucket, now, given_out = Bucket(100), 1000.0, 0
    for pause, amount in steps:
        now += pause
        wait = bucket.take(amount, now)
        if wait == 0:
            given_out += amount
        else:
            assert bucket.take(amount, now + wait + 1e-6) == 0
            given_out += amount
            now += wait + 1e-6
        assert given_out <= 100 + (now - 1000.0) * 100 / 60 + 1e-6
        assert 0 <= bucket.left(now) <= 100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"), (0.0165, "17ms"), (1, "1s"), (1.5, "1.5s"), (59.4, "59.4s"), (60, "1m0s"),
        (360, "6m0s"), (90.25, "1m30.25s"),
    ],
)  # fmt: skip
def test_durations_are_written_as_openais(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_estimate_is_a_token_for_four_characters_and_four_for_each_message() -> None:
    assert estimated(["x" * 400, "y" * 8], None) == 100 + 4 + 2 + 4
    assert estimated([], 50) == 50


def test_settings_are_read_and_mistakes_are_one_sentence() -> None:
    found = from_environ(
        {
            "REQUESTS_PER_MINUTE": "60",
            "VALKEY_URL": "valkey://u:geheim@h:1/0",
            "DAY_BUDGET_MICRO_USD": "5e6",
            "AT_DAY_BUDGET": "warn",
            "SERVICE_NAME": "desk",
            "ENVIRONMENT": "prod",
        }
    )
    assert (found.requests_per_minute, found.tokens_per_minute) == (60, None)
    assert (found.day_budget, found.at_day_budget) == (5e6, "warn")
    assert found.valkey_prefix == "{llmops:desk:prod}:"
    assert "geheim" not in repr(found)
    assert from_environ({}).day_budget is None
    for wrong in ({"AT_DAY_BUDGET": "stop"}, {"VALKEY_URL": "geheim"}, {"TOKENS_PER_MINUTE": "x"}):
        with pytest.raises(SettingsError, match="set it to") as caught:
            from_environ(wrong)
        assert "geheim" not in str(caught.value)
