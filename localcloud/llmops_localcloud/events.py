"""EventBridge events of AWS's own sources: kept for the reader, and given to moto's rules."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from moto.events.models import events_backends

from llmops_localcloud.ports import Clock

KEPT = 2000


class Events:
    """Implements `ports.EventBus`. `recent` serves `/_llmops/events`."""

    def __init__(self, clock: Clock, account: str, region: str) -> None:
        self._clock = clock
        self._account, self._region = account, region
        self._lock = threading.Lock()
        self._recent: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def put(
        self, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]
    ) -> None:
        """Publish one event on the default bus."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._account,
            "time": self._clock.now().isoformat(),
            "region": self._region,
            "resources": list(resources),
            "detail": json.loads(json.dumps(detail, default=str)),
        }
        with self._lock:
            self._recent.append(event)
        events_backends[self._account][self._region].put_events([_entry(event)])

    def recent(self) -> list[dict[str, Any]]:
        """The newest events, oldest first."""
        with self._lock:
            return list(self._recent)


def _entry(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event["resources"],
        "Time": event["time"],
    }
