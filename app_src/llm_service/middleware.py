"""What every request but a chat passes: who may ask, what is written on the answer, what is
recorded of it. Chats have the same from `chat.handler`.

Plain ASGI, since Starlette's BaseHTTPMiddleware starts a task per request.
"""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_service.auth import ANONYMOUS, Known
from llm_service.chat.admitting import FEATURE
from llm_service.chat.handler import LATE, MAX_BODY, SENDING, TOO_LARGE, request_id
from llm_service.errors import ApiError, internal, unauthorized
from llm_service.service import Service
from llm_service.telemetry import Exchange

logger = logging.getLogger("llm_service")

RECORDED = frozenset({"/v1/search"})
"""The paths beside chats that users call; health checks and scanners are no traffic to judge."""


class Guard:
    """Lets nobody read or post under /v1/ without a token, nor send more than a megabyte."""

    def __init__(self, app: ASGIApp, tokens: Known | None) -> None:
        self.app, self.tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http":
                await self._check(scope)
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)
        else:
            await self.app(scope, _limited(receive), send)

    async def _check(self, scope: Scope) -> None:
        """Notes who asks. Raises ApiError for who may not, or sends too much."""
        headers = Headers(scope=scope)
        principal = ANONYMOUS
        if self.tokens is not None and scope["path"].startswith("/v1/"):
            header = headers.get("authorization")
            known = self.tokens.principal(header) or await self.tokens.late(header)
            if known is None:
                raise unauthorized()
            principal = known
        scope.setdefault("state", {})["principal"] = principal
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise ApiError(413, TOO_LARGE, code="body_too_large")


def _limited(receive: Receive) -> Receive:
    """`receive` that refuses to hand out more than MAX_BODY bytes, as a chunked body tells its
    length only by ending, and to wait for them longer than SENDING seconds."""
    received, whole = 0, False
    ends = asyncio.get_running_loop().time() + SENDING

    async def limited() -> Message:
        nonlocal received, whole
        try:
            async with asyncio.timeout_at(None if whole else ends):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, LATE) from None
        whole = not message.get("more_body")
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message

    return limited


class Observe:
    """Marks every answer with the release, turns a crash into a 500, and records searches."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = request_id(Headers(scope=scope).get("x-request-id"))
        seen = _Sending(send, self.service.settings.release, asked)
        scope.setdefault("state", {})
        began = time.perf_counter()
        try:
            await self._run(scope, receive, seen)
        finally:
            if scope["path"] in RECORDED:
                self._record(scope, seen, began)

    async def _run(self, scope: Scope, receive: Receive, seen: _Sending) -> None:
        try:
            await self.app(scope, receive, seen)
        except Exception:
            logger.exception("request %s failed: %s", seen.request_id, scope["path"])
            if seen.status:  # the head is out already: only a broken connection can tell
                seen.status = 500
                raise
            await internal().response()(scope, receive, seen)

    def _record(self, scope: Scope, seen: _Sending, began: float) -> None:
        status = seen.status or 500
        given = Headers(scope=scope).get(FEATURE)
        names = self.service.flow.admitting.names
        exchange = Exchange(
            request_id=seen.request_id,
            path=scope["path"],
            status=status,
            began=began,
            ended=time.perf_counter(),
            at=time.time(),
            feature=names.of(given, learn=status != 401),
            guarded=scope["state"].get("guarded", False) or status == 413,
        )
        self.service.telemetry.record(exchange)


class _Sending:
    """Sends on, remembers the status, and writes the release and the request on the head."""

    def __init__(self, send: Send, release: str, request_id: str) -> None:
        self.send, self.release, self.request_id = send, release, request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-llmops-release"] = self.release
            headers["x-request-id"] = self.request_id
        await self.send(message)
