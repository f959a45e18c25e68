"""What a provider answers instead of an answer, and what is made of it."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from botocore.session import get_session

from llm_service.calls import Kind
from llm_service.http import Broken, TimedOut, Unreachable
from llm_service.providers.failures import (
    NAMES,
    SENTENCES,
    failure,
    of_connection,
    of_name,
    of_status,
    retry_after,
)

NOW = 1_700_000_000.0


def kind_of(status: int, body: bytes = b"") -> Kind:
    return of_status("there", status, {}, body).kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, "malformed"),
        (302, "malformed"),
        (400, "refused"),
        (401, "unauthorized"),
        (402, "unauthorized"),
        (403, "unauthorized"),
        (404, "refused"),
        (408, "timed_out"),
        (409, "overloaded"),
        (413, "too_long"),
        (422, "refused"),
        (424, "overloaded"),
        (429, "rate_limited"),
        (500, "overloaded"),
        (502, "overloaded"),
        (503, "overloaded"),
        (504, "overloaded"),
        (529, "overloaded"),
    ],
)
def test_each_status_has_a_kind(status: int, kind: Kind) -> None:
    assert kind_of(status) == kind
    assert of_status("there", status, {}, b"").status == status


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "context_length_exceeded",
    ],
)
def test_a_400_about_length_is_too_long(words: str) -> None:
    assert kind_of(400, words.encode()) == "too_long"


def test_a_content_filter_has_its_own_sentence() -> None:
    error = of_status("there", 400, {}, b'{"error": {"code": "content_policy_violation"}}')
    assert error.kind == "refused"
    assert "content filter" in str(error)


def test_a_spent_quota_is_no_matter_of_waiting() -> None:
    body = b'{"error": {"code": "insufficient_quota"}}'
    assert kind_of(429, body) == "unauthorized"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, lambda: NOW) == seconds
    assert of_status("there", 429, headers, b"", lambda: NOW).retry_after == seconds


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("rate_limit_exceeded",), "rate_limited"),
        ((None, "overloaded_error"), "overloaded"),
        ((429, None), "rate_limited"),
        ((True, "authentication_error"), "unauthorized"),
        (("throttlingException",), "rate_limited"),
        (("never heard of", None, 7), "overloaded"),
    ],
)
def test_an_error_in_an_answer_goes_by_its_name(words: tuple[object, ...], kind: Kind) -> None:
    assert of_name("there", *words).kind == kind


def test_every_exception_of_bedrock_is_known() -> None:
    model = get_session().get_service_model("bedrock-runtime")
    for operation in ("Converse", "ConverseStream"):
        for shape in model.operation_model(operation).error_shapes:
            known = shape.name.lower() in NAMES
            status = shape.metadata["error"]["httpStatusCode"]
            assert known or kind_of(status) == "refused", shape.name
    output = model.operation_model("ConverseStream").output_shape.members["stream"]
    exceptions = [name for name in output.members if name.endswith("Exception")]
    assert len(exceptions) == 5
    assert all(name.lower() in NAMES for name in exceptions)


def test_each_failure_of_http_has_a_kind() -> None:
    assert of_connection("there", TimedOut("x")).kind == "timed_out"
    assert of_connection("there", Unreachable("x")).kind == "unreachable"
    assert of_connection("there", Broken("x", cut=True)).kind == "truncated"
    assert of_connection("there", Broken("x", cut=False)).kind == "malformed"


def test_each_kind_has_one_sentence_that_names_the_provider() -> None:
    for kind in SENTENCES:
        text = str(failure(kind, "there"))
        assert "there" in text
        assert text.endswith(".")
        assert ": " in text
