"""Langfuse. The receiver stands for a Langfuse server's two public endpoints: it takes OTLP over
HTTP at /api/public/otel/v1/traces and scores at /api/public/scores, with the project's keys as
basic authentication; what Langfuse makes of the attributes is Langfuse's."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llm_service.environ import SettingsError
from llm_service.telemetry import Dimensions, Exchange, Thumb, build, from_environ

TRACES, SCORES = "/api/public/otel/v1/traces", "/api/public/scores"
KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-2"}
BASIC = f"Basic {base64.b64encode(b'pk-lf-1:sk-lf-2').decode()}"
DIMENSIONS = Dimensions("llmops", "handbook", "test", "1.0.0-ab")

Make = Callable[..., Exchange]


async def told(receiver: Any, *items: Exchange | Thumb, **more: str) -> dict[str, Any]:
    telemetry = build(DIMENSIONS, from_environ({"LANGFUSE_HOST": receiver.url, **KEYS, **more}))
    telemetry.start()
    for item in items:
        if isinstance(item, Thumb):
            telemetry.feedback(item)
        else:
            telemetry.record(item)
    await telemetry.stop()
    state: dict[str, Any] = telemetry.state()["langfuse"]
    return state


def spans(receiver: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for request in receiver.to(TRACES):
        for each in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            found |= {span.name: span for scope in each.scope_spans for span in scope.spans}
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: each.value.string_value
        or [one.string_value for one in each.value.array_value.values]
        for each in span.attributes
    }


async def test_a_request_is_a_trace_with_what_langfuse_maps(receiver: Any, exchange: Make) -> None:
    state = await told(receiver, exchange(experiment="tone", variant="warm", feature="kiosk"))
    assert (state["handled"], state["failed"]) == (1, 0)
    assert receiver.requests[0].headers["authorization"] == BASIC
    root = attributes(spans(receiver)["POST /v1/chat/completions"])
    expected = {
        "langfuse.trace.name": "kiosk",
        "langfuse.user.id": "0123456789abcdef",
        "langfuse.session.id": "fedcba9876543210",
        "langfuse.release": "1.0.0-ab",
        "langfuse.environment": "test",
        "langfuse.trace.tags": ["kiosk", "warm"],
        "langfuse.trace.input": "Who is [EMAIL]?",
        "langfuse.trace.output": "Nobody.",
    }
    assert root.items() >= expected.items()


async def test_the_call_that_answered_is_a_generation_with_its_cost(
    receiver: Any, exchange: Make
) -> None:
    await told(receiver, exchange())
    call = attributes(spans(receiver)["chat gpt-4o-mini"])
    assert call["langfuse.observation.type"] == "generation"
    assert json.loads(call["langfuse.observation.cost_details"]) == {"total": 27e-6}
    assert call["langfuse.observation.completion_start_time"] == "2027-01-15T07:59:58.500000+00:00"


async def test_a_thumb_is_a_score_of_the_answers_trace(receiver: Any, exchange: Make) -> None:
    thumb = Thumb(response_id="chatcmpl-1", release="1.0.0-ab", up=True, comment="Call [PHONE]")
    await told(receiver, exchange(), thumb)
    (request,) = receiver.to(SCORES)
    trace_id = hashlib.sha256(b"chatcmpl-1").digest()[:16].hex()
    assert request.headers["authorization"] == BASIC
    assert json.loads(request.body) == {
        "id": "chatcmpl-1-user-feedback",
        "traceId": trace_id,
        "name": "user-feedback",
        "value": 1,
        "dataType": "BOOLEAN",
        "comment": "Call [PHONE]",
    }
    assert spans(receiver)["POST /v1/chat/completions"].trace_id.hex() == trace_id


async def test_texts_stay_here_if_asked_for(receiver: Any, exchange: Make) -> None:
    await told(receiver, exchange(), LANGFUSE_CAPTURE_CONTENT="false")
    assert b"Nobody." not in b"".join(each.body for each in receiver.requests)


async def test_a_host_that_refuses_is_counted_and_nothing_else(
    receiver: Any, exchange: Make, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 401
    thumb = Thumb(response_id="chatcmpl-1", release="1", up=False)
    assert (await told(receiver, exchange(), thumb))["failed"] == 2
    assert "sk-lf-2" not in caplog.text


async def test_a_refused_request_is_no_trace(receiver: Any, exchange: Make) -> None:
    await told(receiver, exchange(answered=False, status=429, attempts=()))
    assert not receiver.requests


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"LANGFUSE_HOST": "langfuse"}, "LANGFUSE_HOST is no http"),
        ({"LANGFUSE_HOST": "https://x"}, "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x:1"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_HEADERS": "a"}, "no list"),
        ({"CONVERSATION_RETENTION_DAYS": "0"}, "CONVERSATION_RETENTION_DAYS is '0'"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_sentence(
    environ: dict[str, str], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        from_environ(environ)


def test_the_secret_shows_in_no_representation() -> None:
    assert "sk-lf-2" not in repr(from_environ({"LANGFUSE_HOST": "https://x", **KEYS}))


@pytest.mark.parametrize(
    ("empty", "named"),
    [
        ({"LANGFUSE_SECRET_KEY": ""}, "LANGFUSE_SECRET_KEY"),
        (
            {"LANGFUSE_PUBLIC_KEY": "", "LANGFUSE_SECRET_KEY": " "},
            "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY",
        ),
    ],
)
def test_keys_that_nobody_has_filled_in_yet_leave_langfuse_off(
    empty: dict[str, str], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = from_environ({"LANGFUSE_HOST": "https://x", **KEYS, **empty})
    assert found.langfuse is None
    assert caplog.messages == [f"Langfuse is off: {named} is empty."]
