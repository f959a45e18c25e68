"""What every request passes: who may ask, what is written on the answer, what is logged of it.

Plain ASGI, since Starlette's BaseHTTPMiddleware starts a task per request.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_service.auth import Tokens
from llm_service.errors import ApiError, internal, unauthorized
from llm_service.metrics import Dimensions, Observed, clock, emit, of_request
from llm_service.names import Names

logger = logging.getLogger("llm_service")

LOGGED = frozenset({"/v1/chat/completions", "/v1/search"})
"""The paths that users call; health checks and scanners are no traffic to judge."""
MAX_BODY = 1024 * 1024
TOO_LARGE = f"The body is too large: send at most {MAX_BODY} bytes."
FEATURE = "x-llmops-feature"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """Lets nobody read or post under /v1/ without a token, nor send more than a megabyte."""

    def __init__(self, app: ASGIApp, tokens: Tokens | None) -> None:
        self.app, self.tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal:
            await refusal.response()(scope, receive, send)
        else:
            await self.app(scope, _limited(receive), send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        guarded = self.tokens is not None and scope["path"].startswith("/v1/")
        if guarded and self.tokens and not self.tokens.allow(headers.get("authorization")):
            return unauthorized()
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY:
            return ApiError(413, TOO_LARGE)
        return None


def _limited(receive: Receive) -> Receive:
    """`receive` that refuses to hand out more than MAX_BODY bytes: a chunked body tells its
    length only by ending."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message

    return limited


class Observe:
    """Marks every answer with the release, turns a crash into a 500, and logs what users ask."""

    def __init__(self, app: ASGIApp, dimensions: Dimensions) -> None:
        self.app, self.dimensions = app, dimensions
        self.features = Names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = _Sending(send, self.dimensions.release, _request_id(scope))
        scope.setdefault("state", {})
        began = time.perf_counter()
        try:
            await self._run(scope, receive, seen)
        finally:
            if scope["path"] in LOGGED:
                self._log(scope, seen, began)

    async def _run(self, scope: Scope, receive: Receive, seen: _Sending) -> None:
        try:
            await self.app(scope, receive, seen)
        except Exception:
            logger.exception("request %s failed: %s", seen.request_id, scope["path"])
            if seen.status:  # the head is out already: only a broken connection can tell
                seen.status = 500
                raise
            await internal().response()(scope, receive, seen)

    def _log(self, scope: Scope, seen: _Sending, began: float) -> None:
        state, status = scope["state"], seen.status or 500
        observed = Observed(
            request_id=seen.request_id,
            path=scope["path"],
            status=status,
            began=began,
            ended=time.perf_counter(),
            feature=self._feature(scope, status),
            guarded=state.get("guarded", False) or status == 413,
            answered=state.get("answered"),
        )
        emit(of_request(self.dimensions, observed, clock()))

    def _feature(self, scope: Scope, status: int) -> str:
        """What the request is part of; names that strangers send are not learnt."""
        given = Headers(scope=scope).get(FEATURE) or scope["state"].get("feature")
        return self.features.of(given, learn=status != 401)


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


def _request_id(scope: Scope) -> str:
    """The caller's `x-request-id` if it is harmless in a log, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
