"""A request as spans: one of the server, one for each call of a provider, one for each tool.

They are built from the Exchange after the request, in a sink's thread, with the moments that were
measured; nothing of OpenTelemetry runs while somebody waits. Names and attributes are those of the
GenAI semantic conventions (which are still in development), with `gen_ai.system` beside its new
name since back ends still read it:
https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-spans.md

The trace is the caller's: by `traceparent` (https://www.w3.org/TR/trace-context/), else by
`X-Amzn-Trace-Id` as load balancers add it, else a new one.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from llm_service.telemetry.exchange import Attempt, Exchange, ToolUse

PROVIDERS = {"bedrock": "aws.bedrock"}
"""Names of ours -> the conventions' well-known names, where they differ."""
ROOT = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")
PARENT = re.compile(r"Parent=([0-9a-f]{16})(?:;|$)")
UNSAMPLED = re.compile(r"Sampled=0(?:;|$)")

Attributes = dict[str, Any]
Further = Callable[[Exchange], Attributes]


class Spans:
    """Builds spans of a service. `content` says whether texts go along; `root` and `generation`
    give further attributes of the server's span and of the call that answered."""

    def __init__(
        self,
        resource: Mapping[str, str],
        *,
        content: bool,
        seeded: bool = False,
        root: Further = lambda _: {},
        generation: Further = lambda _: {},
    ) -> None:
        self._content, self._seeded = content, seeded
        self._root, self._generation = root, generation
        self._ids, self._ended = _Ids(), _Ended()
        provider = TracerProvider(
            resource=Resource.create(dict(resource)),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("llm_service")

    def of(self, exchange: Exchange) -> list[ReadableSpan]:
        """The spans of a request, none if its trace is not sampled."""
        self._ids.trace = seed(exchange.response_id) if self._seeded else 0
        parent = Context() if self._seeded else self._parent(exchange)
        server = self._tracer.start_span(
            f"POST {exchange.path}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={**_server(exchange), **self._root(exchange)},
            start_time=_nanoseconds(exchange, exchange.began),
        )
        inside = trace.set_span_in_context(server, Context())
        answering = next((each for each in reversed(exchange.attempts) if not each.error), None)
        for attempt in exchange.attempts:
            self._attempt(exchange, attempt, inside, attempt is answering)
        for tool in exchange.tools:
            self._tool(exchange, tool, inside)
        if exchange.status >= 500:
            server.set_status(Status(StatusCode.ERROR))
        server.end(_nanoseconds(exchange, exchange.ended))
        return self._ended.taken()

    def _attempt(
        self, exchange: Exchange, attempt: Attempt, inside: Context, answering: bool
    ) -> None:
        attributes = _call(exchange, attempt)
        if answering:
            attributes |= _answer(exchange) | self._generation(exchange)
            if self._content:
                attributes |= content(exchange)
        if attempt.error:
            attributes["error.type"] = attempt.error
        span = self._tracer.start_span(
            f"chat {attempt.model}",
            context=inside,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=_nanoseconds(exchange, attempt.began),
        )
        if attempt.error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(exchange, attempt.ended))

    def _tool(self, exchange: Exchange, tool: ToolUse, inside: Context) -> None:
        span = self._tracer.start_span(
            f"execute_tool {tool.name}",
            context=inside,
            kind=SpanKind.INTERNAL,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": tool.name,
                "gen_ai.tool.call.id": tool.call_id,
                "gen_ai.tool.type": "function",
            },
            start_time=_nanoseconds(exchange, tool.began),
        )
        if tool.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(exchange, tool.ended))

    def _parent(self, exchange: Exchange) -> Context:
        if exchange.traceparent:
            carrier = {"traceparent": exchange.traceparent}
            return TraceContextTextMapPropagator().extract(carrier, Context())
        root = ROOT.search(exchange.amzn_trace)
        if root is None:
            return Context()
        self._ids.trace = int(root[1] + root[2], 16)
        parent = PARENT.search(exchange.amzn_trace)
        if parent is None:
            return Context()
        sampled = not UNSAMPLED.search(exchange.amzn_trace)
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        caller = SpanContext(self._ids.trace, int(parent[1], 16), True, flags)
        return trace.set_span_in_context(NonRecordingSpan(caller), Context())


def seed(text: str) -> int:
    """A trace id that everyone who knows `text` can work out, as Langfuse's SDKs do from a seed;
    0 (a new one) for no text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]) if text else 0


def content(exchange: Exchange) -> Attributes:
    """The redacted texts of a request in the conventions' form."""
    asked = [
        {"role": each.role, "parts": [{"type": "text", "content": each.content}]}
        for each in exchange.messages
    ]
    said = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": exchange.answer}],
            "finish_reason": exchange.finish_reason,
        }
    ]
    return {
        "gen_ai.input.messages": json.dumps(asked, ensure_ascii=False),
        "gen_ai.output.messages": json.dumps(said, ensure_ascii=False),
    }


def _server(exchange: Exchange) -> Attributes:
    attributes: Attributes = {
        "http.request.method": "POST",
        "http.route": exchange.path,
        "url.path": exchange.path,
        "http.response.status_code": exchange.status,
        "llmops.request_id": exchange.request_id,
        "llmops.feature": exchange.feature,
        "llmops.guarded": exchange.guarded,
        "llmops.cache": exchange.cached or "off",
    }
    if exchange.status >= 500:
        attributes["error.type"] = str(exchange.status)
    if exchange.experiment:
        attributes["llmops.experiment"] = exchange.experiment
        attributes["llmops.variant"] = exchange.variant
    if exchange.session:
        attributes["gen_ai.conversation.id"] = exchange.session
    return attributes


def _call(exchange: Exchange, attempt: Attempt) -> Attributes:
    provider = PROVIDERS.get(attempt.provider, attempt.provider)
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.system": provider,
        "gen_ai.request.model": attempt.model,
    }
    if exchange.temperature is not None:
        attributes["gen_ai.request.temperature"] = exchange.temperature
    if exchange.max_tokens is not None:
        attributes["gen_ai.request.max_tokens"] = exchange.max_tokens
    if exchange.session:
        attributes["gen_ai.conversation.id"] = exchange.session
    return attributes


def _answer(exchange: Exchange) -> Attributes:
    """What is known of the answer; the tokens are those of the whole request."""
    return {
        "gen_ai.response.id": exchange.response_id,
        "gen_ai.response.model": exchange.model,
        "gen_ai.response.finish_reasons": [exchange.finish_reason],
        "gen_ai.usage.input_tokens": exchange.usage.prompt,
        "gen_ai.usage.output_tokens": exchange.usage.completion,
        "gen_ai.usage.cache_read.input_tokens": exchange.usage.cached,
    }


def _nanoseconds(exchange: Exchange, moment: float) -> int:
    return int(exchange.epoch(moment) * 1e9)


class _Ids(RandomIdGenerator):
    """Random ids, but for a trace id that was asked for. Used by one thread."""

    def __init__(self) -> None:
        self.trace = 0

    def generate_trace_id(self) -> int:
        return self.trace or super().generate_trace_id()


class _Ended(SpanProcessor):
    """Keeps the spans that ended until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def taken(self) -> list[ReadableSpan]:
        """What ended since the last time."""
        spans, self._spans = self._spans, []
        return spans
