"""Traces: what a real OTLP/HTTP receiver decodes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llm_service.telemetry import Dimensions, Exchange, build, from_environ
from llm_service.telemetry.otlp import OtlpSink
from llm_service.telemetry.settings import Otlp

RESOURCE = {"service.name": "handbook", "service.version": "1.0.0-ab"}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

Make = Callable[..., Exchange]


def decoded(receiver: Any) -> Any:
    """The resource and the spans by name of everything that came to /v1/traces."""
    found: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    for request in receiver.to("/v1/traces"):
        assert request.headers["content-type"] == "application/x-protobuf"
        for each in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            resource |= attributes(each.resource)
            found |= {span.name: span for scope in each.scope_spans for span in scope.spans}
    return resource, found


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: value(each.value) for each in of.attributes}


def value(any_value: Any) -> Any:
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in any_value.array_value.values]
    return getattr(any_value, kind)


async def sent(receiver: Any, *exchanges: Exchange, content: bool = False) -> Any:
    sink = OtlpSink(Otlp(f"{receiver.url}/v1/traces", {"x-key": "k"}, content), RESOURCE)
    sink.start()
    for exchange in exchanges:
        sink.offer(exchange)
    await sink.stop()
    assert sink.state() == {"queued": 0, "handled": len(exchanges), "failed": 0, "dropped": 0}
    return decoded(receiver)


async def test_a_request_is_a_server_span_with_one_for_each_call_and_tool(
    receiver: Any, exchange: Make
) -> None:
    resource, spans = await sent(receiver, exchange())
    assert resource.items() >= RESOURCE.items()
    server = spans["POST /v1/chat/completions"]
    assert set(spans) == {
        server.name,
        "chat haiku",
        "chat gpt-4o-mini",
        "execute_tool search_corpus",
    }
    children = [span for span in spans.values() if span is not server]
    assert {span.parent_span_id for span in children} == {server.span_id}
    assert {span.trace_id for span in children} == {server.trace_id}
    assert (server.kind, children[0].kind) == (server.SPAN_KIND_SERVER, server.SPAN_KIND_CLIENT)
    assert receiver.requests[0].headers["x-key"] == "k"


async def test_the_spans_have_the_moments_that_were_measured(receiver: Any, exchange: Make) -> None:
    _, spans = await sent(receiver, exchange())
    server, call = spans["POST /v1/chat/completions"], spans["chat gpt-4o-mini"]
    assert server.end_time_unix_nano == 1_800_000_000 * 10**9
    assert server.end_time_unix_nano - server.start_time_unix_nano == 2 * 10**9
    assert abs(call.start_time_unix_nano - server.start_time_unix_nano - 0.2e9) < 1_000


async def test_the_call_that_answered_has_the_attributes_of_the_genai_conventions(
    receiver: Any, exchange: Make
) -> None:
    _, spans = await sent(receiver, exchange(temperature=0.5, max_tokens=300))
    assert attributes(spans["chat gpt-4o-mini"]) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 300,
        "gen_ai.conversation.id": "fedcba9876543210",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-mini",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
    }
    failed = spans["chat haiku"]
    assert attributes(failed)["error.type"] == "timed_out"
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert "gen_ai.usage.input_tokens" not in attributes(failed)
    tool = attributes(spans["execute_tool search_corpus"])
    assert tool["gen_ai.operation.name"] == "execute_tool"
    assert (tool["gen_ai.tool.name"], tool["gen_ai.tool.call.id"]) == ("search_corpus", "c1")


async def test_texts_go_along_only_if_asked_for(receiver: Any, exchange: Make) -> None:
    await sent(receiver, exchange())
    assert b"[EMAIL]" not in b"".join(each.body for each in receiver.requests)
    _, spans = await sent(receiver, exchange(), content=True)
    found = attributes(spans["chat gpt-4o-mini"])
    asked = json.loads(found["gen_ai.input.messages"])
    assert asked[1] == {"role": "user", "parts": [{"type": "text", "content": "Who is [EMAIL]?"}]}
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"] == "Nobody."


async def test_the_trace_is_the_callers(receiver: Any, exchange: Make) -> None:
    _, spans = await sent(receiver, exchange(traceparent=f"00-{TRACE}-{PARENT}-01"))
    server = spans["POST /v1/chat/completions"]
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        ("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736", ""),
        (f"Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent={PARENT};Sampled=1", PARENT),
        (f"Self=1-1;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent={PARENT}", PARENT),
    ],
)
async def test_a_load_balancers_trace_is_gone_on_with(
    receiver: Any, exchange: Make, header: str, parent: str
) -> None:
    _, spans = await sent(receiver, exchange(amzn_trace=header))
    server = spans["POST /v1/chat/completions"]
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, parent)


@pytest.mark.parametrize(
    "header", ["", "junk", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "Root=1-x", "\x00"]
)
async def test_a_header_that_is_none_begins_a_new_trace(
    receiver: Any, exchange: Make, header: str
) -> None:
    _, spans = await sent(receiver, exchange(traceparent=header, amzn_trace=header))
    server = spans["POST /v1/chat/completions"]
    assert server.trace_id.strip(b"\0") and not server.parent_span_id


async def test_what_the_caller_does_not_sample_is_not_sent(receiver: Any, exchange: Make) -> None:
    _, spans = await sent(receiver, exchange(traceparent=f"00-{TRACE}-{PARENT}-00"))
    assert not spans


async def test_a_collector_that_refuses_is_counted(receiver: Any, exchange: Make) -> None:
    receiver.status = 400
    sink = OtlpSink(Otlp(f"{receiver.url}/v1/traces"), RESOURCE)
    sink.start()
    sink.offer(exchange())
    await sink.stop()
    assert sink.state()["failed"] == 1


async def test_a_collector_that_hangs_delays_nothing_and_what_does_not_fit_is_dropped(
    receiver: Any, exchange: Make, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.telemetry.otlp.CAPACITY", 3)
    monkeypatch.setattr("llm_service.telemetry.otlp.STOP", 0.1)
    receiver.gate.clear()
    sink = OtlpSink(Otlp(f"{receiver.url}/v1/traces"), RESOURCE)
    sink.start()
    sink.offer(exchange())
    await asyncio.to_thread(until, lambda: bool(receiver.requests), "nothing came")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        sink.offer(exchange())
    assert loop.time() - began < 0.1
    await sink.stop()
    assert sink.state()["dropped"] == 10


def test_the_libraries_are_imported_only_when_they_are_needed() -> None:
    code = (
        "import sys, llm_service.telemetry as t;"
        "t.build(t.Dimensions('n', 's', 'e', 'r'), t.from_environ({}));"
        "print([name for name in sys.modules if name.startswith("
        "('opentelemetry.sdk', 'opentelemetry.exporter', 'prometheus_client', 'asyncpg'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_endpoint_and_its_headers_are_those_of_opentelemetrys_variables() -> None:
    found = from_environ(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20b, y=1",
        }
    ).otlp
    assert found == Otlp("http://localhost:4318/v1/traces", {"x-key": "a b", "y": "1"}, False)
    assert "a b" not in repr(found)
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}
    assert from_environ(off).otlp is None
    whole = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x/y"}
    traces = from_environ(whole).otlp
    assert traces and traces.url == "http://x/y"


async def test_telemetry_records_to_the_collector(receiver: Any, exchange: Make) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    telemetry = build(Dimensions("llmops", "handbook", "test", "1"), from_environ(environ))
    telemetry.start()
    telemetry.record(exchange())
    await telemetry.stop()
    resource, spans = decoded(receiver)
    assert resource["service.version"] == "1"
    assert "chat gpt-4o-mini" in spans
    assert telemetry.state()["otlp"]["handled"] == 1
