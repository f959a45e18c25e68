"""The one door to telemetry: a request is recorded once, and every sink takes it from there.

A request is put aside and handed on with those that end with it, within SOON seconds: encoding its
line, counting for /metrics and appending to queues cost half as much while the processor has them
in its caches. Nothing of it does I/O or raises. What a sink does with its queue happens in a thread
or a task of its own. Whoever looks (/metrics, `state`) sees what ended before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from llm_service.database import Postgres
from llm_service.environ import SettingsError
from llm_service.telemetry import emf
from llm_service.telemetry.conversations import ConversationSink
from llm_service.telemetry.emf import Dimensions
from llm_service.telemetry.exchange import Exchange, Thumb
from llm_service.telemetry.langfuse import LangfuseSink
from llm_service.telemetry.lines import Lines
from llm_service.telemetry.otlp import OtlpSink
from llm_service.telemetry.prometheus import Labels, Prometheus
from llm_service.telemetry.settings import TelemetrySettings

logger = logging.getLogger("llm_service")

SOON = 0.02
TOGETHER = 64
"""Requests that are handed on without waiting for more: a millisecond of the event loop."""


class Sink(Protocol):
    """Takes requests off the event loop's hands; nothing in it waits or fails towards the loop."""

    def start(self) -> None:
        """Begins to hand on."""
        ...

    def offer(self, exchange: Exchange) -> None:
        """Queues a request or counts it as dropped."""
        ...

    def feedback(self, thumb: Thumb) -> None:
        """Queues a thumb, if this sink takes thumbs."""
        ...

    async def stop(self) -> None:
        """Hands on what is queued, for a few seconds."""
        ...

    def state(self) -> dict[str, Any]:
        """Queued, handled, failed and dropped."""
        ...


class Telemetry:
    """The telemetry of one process, from `start` to `stop`. `sinks` by name."""

    def __init__(
        self,
        dimensions: Dimensions,
        *,
        lines: Lines,
        sinks: Mapping[str, Sink],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.dimensions = dimensions
        self.prometheus = Prometheus(
            {
                "service": dimensions.service,
                "environment": dimensions.environment,
                "release": dimensions.release,
            },
            self._hand_on,
        )
        self._waiting: list[Exchange] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines, self._sinks, self._clock = lines, dict(sinks), clock
        self.failed = 0
        self._watch()

    def start(self) -> None:
        """Begins to write and to hand on; needs the running event loop."""
        self._lines.start()
        if not self._lines.at_once:
            self._loop = asyncio.get_running_loop()
        for sink in self._sinks.values():
            sink.start()

    async def stop(self) -> None:
        """Hands on what is queued, all sinks at once. Requests have ended before."""
        self._hand_on()
        self._loop = None
        stops = [sink.stop() for sink in self._sinks.values()]
        for found in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(found, Exception):
                logger.error("a sink of telemetry did not stop: %s", type(found).__name__)
        await asyncio.to_thread(self._lines.stop)

    def record(self, exchange: Exchange) -> None:
        """Takes a request that ended; without an event loop it is handed on at once."""
        self._waiting.append(exchange)
        if self._loop is None or len(self._waiting) >= TOGETHER:
            self._hand_on()
        elif len(self._waiting) == 1:
            self._loop.call_later(SOON, self._hand_on)

    def score(
        self,
        values: Mapping[str, float],
        fields: Mapping[str, Any],
        *,
        experiment: str = "",
        variant: str = "",
        subject: str = "",
    ) -> None:
        """Takes the score of an answer: `values` among Quality, Support and ScoringSpend."""
        told = {"experiment": experiment, "variant": variant, "subject": subject}
        self._lines.add(emf.of_score(self.dimensions, values, fields, self._clock(), **told))

    def feedback(self, thumb: Thumb) -> None:
        """Takes a thumb, which counts for the release that gave the answer."""
        theirs = replace(self.dimensions, release=thumb.release)
        try:
            self._lines.add(emf.of_feedback(theirs, thumb, self._clock()))
            for sink in self._sinks.values():
                sink.feedback(thumb)
        except Exception:  # noqa: BLE001 - whatever it is, the request goes on
            self._not_recorded(thumb.response_id)

    def budget(self, fields: Mapping[str, Any]) -> None:
        """Takes a budget that passed a threshold outside a request; `fields` say whose, which."""
        self._lines.add(emf.of_budget(self.dimensions, fields, self._clock()))
        self.prometheus.budget.add(())

    def state(self) -> dict[str, Any]:
        """How every sink stands, for a person."""
        self._hand_on()
        sinks = {name: sink.state() for name, sink in self._sinks.items()}
        return {"lines": self._lines.state(), **sinks, "failed": self.failed}

    def _hand_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for exchange in waiting:
            self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        try:
            self._lines.add(emf.of_exchange(self.dimensions, exchange))
            self.prometheus.count(exchange)
            for sink in self._sinks.values():
                sink.offer(exchange)
        except Exception:  # noqa: BLE001 - whatever it is, the request goes on
            self._not_recorded(exchange.request_id)

    def _watch(self) -> None:
        for name in ("queued", "failed", "dropped"):
            self.prometheus.gauge(
                f"llm_service_telemetry_{name}",
                f"Requests {name}, by sink.",
                ("sink",),
                self._reader(name),
                total=name != "queued",
            )

    def _not_recorded(self, what: str) -> None:
        self.failed += 1
        logger.exception("%s could not be recorded", what)

    def _reader(self, name: str) -> Callable[[], list[tuple[Labels, float]]]:
        def read() -> list[tuple[Labels, float]]:
            states = {"lines": self._lines.state()}
            states |= {sink: each.state() for sink, each in self._sinks.items()}
            return [((sink,), state[name]) for sink, state in states.items()]

        return read


def build(
    dimensions: Dimensions, settings: TelemetrySettings, postgres: Postgres | None = None
) -> Telemetry:
    """Telemetry as the settings ask for it. Raises SettingsError for a conversation log without a
    database."""
    resource = {
        "service.name": settings.service_name or dimensions.service,
        "service.version": dimensions.release,
        "deployment.environment.name": dimensions.environment,
    }
    sinks: dict[str, Sink] = {}
    if settings.otlp:
        sinks["otlp"] = OtlpSink(settings.otlp, resource)
    if settings.langfuse:
        sinks["langfuse"] = LangfuseSink(settings.langfuse, resource)
    if settings.retention_days is not None:
        if postgres is None:
            raise SettingsError("CONVERSATION_LOG is on without a database: set DATABASE_HOST too.")
        days = settings.retention_days
        sinks["conversations"] = ConversationSink(postgres, dimensions.release, days)
    return Telemetry(dimensions, lines=Lines(at_once=settings.at_once), sinks=sinks)
