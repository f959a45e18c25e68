"""GET /healthz, /readyz and /metrics, as ASGI alone: what is asked every few seconds is answered by
a process that never had another request but chats, and so never loaded FastAPI."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from llm_service.chat.handler import request_id
from llm_service.errors import JSON, internal
from llm_service.telemetry.prometheus import CONTENT_TYPE as PROMETHEUS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from llm_service.service import Service

logger = logging.getLogger("llm_service")

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What may be read without a token."""


class Health:
    """The ASGI application of PATHS; whoever calls it has seen to the path and the method."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        asked = request_id(given or None)
        try:
            status, kind, body = await self._page(scope["path"])
        except Exception:
            logger.exception("request %s failed: %s", asked, scope["path"])
            status, kind, body = 500, JSON, internal().body()
        headers = {
            "content-length": str(len(body)),
            "content-type": kind,
            "x-llmops-release": self._service.settings.release,
            "x-request-id": asked,
        }
        raw = [(key.encode(), value.encode()) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _page(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/healthz":
            return 200, JSON, b'{"status":"ok"}'
        if path == "/metrics":
            return 200, PROMETHEUS, self._service.telemetry.prometheus.text()
        ready, body = await self._service.readiness()
        return 200 if ready else 503, JSON, msgspec.json.encode(body)
