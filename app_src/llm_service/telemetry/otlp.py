"""Traces over OTLP/HTTP (protobuf), to whatever collector the settings name.

AWS X-Ray takes them through the AWS Distro for OpenTelemetry's collector, which listens on
http://localhost:4318 beside the service in its task: https://aws-otel.github.io/docs/introduction.
OpenTelemetry's SDK is imported in the sink's own thread, when the first request has ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

from llm_service.telemetry.background import Background
from llm_service.telemetry.exchange import Exchange, Thumb
from llm_service.telemetry.settings import Otlp

CAPACITY = 2_000
BATCH = 200
LINGER = 1.0
"""Seconds that spans collect."""
TIMEOUT = 5.0
"""Seconds for one batch, with the exporter's own attempts."""
STOP = 5.0


class NotTaken(Exception):
    """The collector did not take a batch; why is in the exporter's log."""


class OtlpSink:
    """Sends the spans of each request to `settings.url`; `resource` says whose they are."""

    def __init__(self, settings: Otlp, resource: dict[str, str]) -> None:
        self._settings, self._resource = settings, resource
        self._made: tuple[Any, Any] | None = None
        self._background = Background[Exchange](
            "otlp", self._send, capacity=CAPACITY, batch=BATCH, linger=LINGER
        )

    def start(self) -> None:
        """Begins to send."""
        self._background.start()

    def offer(self, exchange: Exchange) -> None:
        """Queues a request."""
        self._background.offer(exchange)

    def feedback(self, thumb: Thumb) -> None:
        """Traces have no thumbs."""

    async def stop(self) -> None:
        """Sends what is queued for at most STOP seconds."""
        await asyncio.to_thread(self._background.stop, STOP)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return self._background.state()

    def _send(self, exchanges: list[Exchange]) -> None:
        spans, exporter = self._made = self._made or self._make()
        export(exporter, [span for each in exchanges for span in spans.of(each)])

    def _make(self) -> tuple[Any, Any]:
        from llm_service.telemetry.spans import Spans

        spans = Spans(self._resource, content=self._settings.content)
        return spans, exporter_to(self._settings.url, self._settings.headers)


def exporter_to(url: str, headers: dict[str, str]) -> Any:
    """OpenTelemetry's exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=url, headers=headers, timeout=TIMEOUT)


def export(exporter: Any, spans: list[Any]) -> None:
    """Sends the spans. Raises NotTaken."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    if spans and exporter.export(spans) is not SpanExportResult.SUCCESS:
        raise NotTaken
