"""The awslogs driver: lines go to CloudWatch Logs; what is in EMF, and what a metric filter of the
group finds, becomes metrics."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.logs.models import LogStream, logs_backends

from llmops_localcloud.ports import Clock

from .emf import extract
from .filters import PatternError, compiled, dimensions_of, value_of

LINES_KEPT = 20_000
"""Per stream; older lines are forgotten, so that a cloud left running does not grow."""

_numbers = itertools.count()


@dataclass(slots=True)
class Line:
    """A log event in moto's store; times in virtual epoch milliseconds.

    Not moto's own class, which keeps every instance for ever.
    """

    timestamp: int
    message: str
    ingestion_time: int
    event_id: int = field(default_factory=lambda: next(_numbers))

    def to_filter_dict(self) -> dict[str, Any]:
        return {"eventId": str(self.event_id), **self.to_response_dict()}

    def to_response_dict(self) -> dict[str, Any]:
        return {
            "ingestionTime": self.ingestion_time,
            "message": self.message,
            "timestamp": self.timestamp,
        }


class EmfLogSink:
    """Implements `ports.LogSink`."""

    def __init__(
        self, clock: Clock, put: Callable[..., None], *, account: str, region: str
    ) -> None:
        self._clock = clock
        self._put = put
        self._account = account
        self._region = region
        self._lock = threading.Lock()

    def line(self, group: str, stream: str, text: str, real_epoch_seconds: float) -> None:
        """Store the line under its group and stream (made if missing), and its metrics."""
        now = self._clock.at(real_epoch_seconds)
        self._write(group, stream, text, now)
        self._filter(group, text, now)
        for datum in extract(text):
            at = self._clock.at(datum.real_epoch_seconds)
            dims = datum.dimensions
            self._put(datum.namespace, datum.name, dims, at, datum.values, unit=datum.unit)

    def _filter(self, group: str, text: str, at: datetime) -> None:
        """A value for each of the group's metric filters that the line matches."""
        backend = logs_backends[self._account][self._region]
        for each in list(backend.filters.metric_filters):
            if each["logGroupName"] != group:
                continue
            fields = _matched(each["filterPattern"], text)
            for transformation in each["metricTransformations"] if fields is not None else ():
                value = value_of(str(transformation["metricValue"]), fields or {})
                if value is not None:
                    named = dimensions_of(transformation.get("dimensions") or {}, fields or {})
                    where = transformation["metricNamespace"], transformation["metricName"]
                    unit = transformation.get("unit") or "None"
                    self._put(*where, named, at, (value,), unit=unit)

    def _write(self, group: str, stream: str, text: str, at: datetime) -> None:
        backend = logs_backends[self._account][self._region]
        stamp = int(at.timestamp() * 1000)
        with self._lock:
            backend.ensure_log_group(group)
            streams = backend.groups[group].streams
            if stream not in streams:
                made = LogStream(log_group=backend.groups[group], name=stream)
                made.creation_time = at.replace(tzinfo=None)
                streams[stream] = made
            target = streams[stream]
            events: list[Any] = target.events
            events.append(Line(stamp, text, stamp))
            target.last_ingestion_time = at.replace(tzinfo=None)
            target.stored_bytes += len(text)
            if len(events) > LINES_KEPT * 1.25:
                del events[: len(events) - LINES_KEPT]


def _matched(pattern: str, text: str) -> Mapping[str, Any] | None:
    """A pattern that is not read, which only moto's own call takes, matches nothing."""
    try:
        return compiled(pattern)(text)
    except PatternError:
        return None
