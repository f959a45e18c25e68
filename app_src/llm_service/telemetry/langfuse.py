"""Traces, generations and thumbs to a Langfuse project, over its own OTLP endpoint and its scores.

Attributes as Langfuse maps them: https://langfuse.com/integrations/native/opentelemetry. A trace's
id follows from the response id, so that a thumb that arrives at another task, or a day later, finds
its trace. Texts are redacted and users are hashes, as everywhere in telemetry.
"""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from datetime import UTC, datetime
from typing import Any

from llm_service.telemetry.background import Background
from llm_service.telemetry.exchange import Exchange, Thumb
from llm_service.telemetry.otlp import BATCH, CAPACITY, LINGER, STOP, TIMEOUT, export, exporter_to
from llm_service.telemetry.settings import LangfuseSettings

TRACES, SCORES = "/api/public/otel/v1/traces", "/api/public/scores"
SCORE = "user-feedback"


class LangfuseSink:
    """Sends requests and thumbs to the project in `settings`."""

    def __init__(self, settings: LangfuseSettings, resource: dict[str, str]) -> None:
        self._settings, self._resource = settings, resource
        self._made: tuple[Any, Any] | None = None
        keys = f"{settings.public_key}:{settings.secret_key}".encode()
        self._authorization = f"Basic {base64.b64encode(keys).decode()}"
        self._background = Background[Exchange | Thumb](
            "langfuse", self._send, capacity=CAPACITY, batch=BATCH, linger=LINGER
        )

    def start(self) -> None:
        """Begins to send."""
        self._background.start()

    def offer(self, exchange: Exchange) -> None:
        """Queues a request that was answered."""
        if exchange.answered:
            self._background.offer(exchange)

    def feedback(self, thumb: Thumb) -> None:
        """Queues a thumb."""
        self._background.offer(thumb)

    async def stop(self) -> None:
        """Sends what is queued for at most STOP seconds."""
        await asyncio.to_thread(self._background.stop, STOP)

    def state(self) -> dict[str, Any]:
        """How it stands, for a person."""
        return self._background.state()

    def _send(self, items: list[Exchange | Thumb]) -> None:
        exchanges = [each for each in items if isinstance(each, Exchange)]
        if exchanges:
            spans, exporter = self._made = self._made or self._make()
            export(exporter, [span for each in exchanges for span in spans.of(each)])
        for thumb in items:
            if isinstance(thumb, Thumb):
                self._score(thumb)

    def _make(self) -> tuple[Any, Any]:
        from llm_service.telemetry.spans import Spans

        spans = Spans(
            self._resource,
            content=self._settings.content,
            seeded=True,
            root=self._trace,
            generation=_generation,
        )
        headers = {"authorization": self._authorization, "x-langfuse-ingestion-version": "4"}
        return spans, exporter_to(self._settings.host + TRACES, headers)

    def _trace(self, exchange: Exchange) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "langfuse.trace.name": exchange.feature,
            "langfuse.release": self._resource["service.version"],
            "langfuse.environment": self._resource["deployment.environment.name"],
            "langfuse.trace.tags": [exchange.feature, *filter(None, [exchange.variant])],
            "langfuse.trace.metadata.request_id": exchange.request_id,
            "langfuse.trace.metadata.response_id": exchange.response_id,
        }
        if exchange.user:
            attributes["langfuse.user.id"] = exchange.user
        if exchange.session:
            attributes["langfuse.session.id"] = exchange.session
        if self._settings.content:
            attributes["langfuse.trace.input"] = exchange.question
            attributes["langfuse.trace.output"] = exchange.answer
        return attributes

    def _score(self, thumb: Thumb) -> None:
        from llm_service.telemetry.spans import seed

        score = {
            "id": f"{thumb.response_id}-{SCORE}",
            "traceId": f"{seed(thumb.response_id):032x}",
            "name": SCORE,
            "value": int(thumb.up),
            "dataType": "BOOLEAN",
            **({"comment": thumb.comment} if thumb.comment else {}),
        }
        request = urllib.request.Request(  # noqa: S310 - the settings took http(s) only
            self._settings.host + SCORES,
            json.dumps(score).encode(),
            {"content-type": "application/json", "authorization": self._authorization},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            pass


def _generation(exchange: Exchange) -> dict[str, Any]:
    attributes: dict[str, Any] = {"langfuse.observation.type": "generation"}
    if exchange.cost is not None:
        dollars = {"total": exchange.cost / 1e6}
        attributes["langfuse.observation.cost_details"] = json.dumps(dollars)
    if exchange.first is not None:
        first = datetime.fromtimestamp(exchange.epoch(exchange.first), UTC)
        attributes["langfuse.observation.completion_start_time"] = first.isoformat()
    return attributes
