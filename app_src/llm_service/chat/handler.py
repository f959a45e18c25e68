"""One HTTP request of POST /v1/chat/completions, as ASGI gives it.

While an answer is made, another task waits for the client to hang up, and cancels everything at
once if it does: in the middle of a stream, before its first token, or where nothing is streamed.
ASGI tells of it by `http.disconnect` alone. The same task bounds the time a client may take to read
its answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from llm_service.auth import Known, Principal
from llm_service.chat import shape
from llm_service.chat.flow import Flow
from llm_service.chat.recording import Recording
from llm_service.chat.state import CANCELLED, Chat, FeatureCall
from llm_service.errors import NOT_AN_OBJECT, ApiError, internal, unauthorized
from llm_service.limits import Limits

logger = logging.getLogger("llm_service")

MAX_BODY = 1024 * 1024
TOO_LARGE = f"The body is too large: send at most {MAX_BODY} bytes."
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
READING = 30.0
"""Seconds beyond its deadline that a client may take to read an answer."""
SENDING = 60.0
"""Seconds that a client may take to send its body."""
JSON, EVENTS = b"application/json", b"text/event-stream; charset=utf-8"

RawHeaders = Sequence[tuple[bytes, bytes]]


class Gone(Exception):
    """The client hung up."""


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return prefix + os.urandom(12).hex()


def request_id(given: str | None) -> str:
    """The caller's `x-request-id` if it is harmless in a log, else a new one."""
    return given if given and REQUEST_ID.fullmatch(given) else new_id("req_")


@dataclass
class Handler:
    """Answers chats over HTTP; `tokens` None lets everyone in."""

    release: str
    tokens: Known | None
    flow: Flow
    limits: Limits
    recording: Recording

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        asked = request_id(headers.get("x-request-id"))
        chat = Chat(id=new_id("chatcmpl-"), request_id=asked, headers=headers)
        answer = _Answer(send, self._heads(chat))
        try:
            await self._answer(chat, receive, answer)
        except Gone:
            chat.status = CANCELLED
        except ApiError as error:
            chat.status = error.status
            await answer.refuse(error)
        except Exception:
            logger.exception("request %s failed: %s", chat.request_id, scope["path"])
            chat.status = 500
            await answer.refuse(internal())
        finally:
            self.recording.record(chat)

    async def answer(
        self, body: bytes, principal: Principal, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """The answer, in one piece, to a request that came by another way than HTTP: status and
        JSON body. `headers` in small letters."""
        asked = request_id(headers.get("x-request-id"))
        chat = Chat(id=new_id("chatcmpl-"), request_id=asked, headers=headers, principal=principal)
        try:
            found = await self.flow.whole(chat, self.flow.take(chat, body))
            chat.status = 200
            return 200, found
        except ApiError as error:
            chat.status = error.status
            return error.status, error.body()
        except asyncio.CancelledError:
            chat.status = CANCELLED
            raise
        finally:
            self.recording.record(chat)

    async def _answer(self, chat: Chat, receive: Receive, answer: _Answer) -> None:
        if self.tokens is not None:
            await self._know(chat, self.tokens)
        body = await _body(chat, receive)
        call = self.flow.take(chat, body)
        async with _Watch(receive, chat) as watch:
            if chat.stream:
                await self._stream(chat, call, answer, watch)
            else:
                found = await self.flow.whole(chat, call)
                watch.end()
                chat.status = 200
                await answer.whole(found, self._more(chat))

    async def _know(self, chat: Chat, tokens: Known) -> None:
        """Finds out who asks. Raises ApiError 401."""
        header = chat.headers.get("authorization")
        principal = tokens.principal(header) or await tokens.late(header)
        if principal is None:
            chat.label = self.flow.admitting.stranger(chat.headers)
            raise unauthorized()
        chat.principal = principal
        chat.label = self.flow.admitting.label(chat.headers, None)

    async def _stream(self, chat: Chat, call: FeatureCall, answer: _Answer, watch: _Watch) -> None:
        async with aclosing(self.flow.events(chat, call)) as events:
            async for event in events:
                if not answer.begun:
                    chat.status = 200
                    await answer.begin(200, EVENTS, self._more(chat))
                if event is shape.DONE:
                    watch.end()
                await answer.piece(event)
        await answer.end()

    def _heads(self, chat: Chat) -> list[tuple[bytes, bytes]]:
        """What every answer carries."""
        return [
            (b"x-llmops-release", self.release.encode("latin-1", "replace")),
            (b"x-request-id", chat.request_id.encode()),
        ]

    def _more(self, chat: Chat) -> list[tuple[bytes, bytes]]:
        """What an answer of a model carries beside."""
        more = [(b"x-llmops-ai-generated", b"true")]
        if chat.cached is not None:
            more.append((b"x-llmops-cache", chat.cached.encode()))
        if chat.over_budget:
            more.append((b"x-llmops-budget", b"over"))
        limits = self.limits.headers(chat.admission) if chat.admission else {}
        return [*more, *_encoded(limits)] if limits else more


class _Answer:
    """The way back to the client; every head carries `common`."""

    def __init__(self, send: Send, common: list[tuple[bytes, bytes]]) -> None:
        self._send, self._common = send, common
        self.begun = False

    async def begin(self, status: int, kind: bytes, more: RawHeaders) -> None:
        """Sends the head."""
        self.begun = True
        headers = [(b"content-type", kind), *self._common, *more]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes) -> None:
        """Sends a part of the body, at once."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Ends the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, body: bytes, more: RawHeaders, status: int = 200) -> None:
        """Sends an answer in one piece."""
        length = (b"content-length", str(len(body)).encode())
        await self.begin(status, JSON, [length, *more])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: ApiError) -> None:
        """Sends the error; in a stream that has begun as its last event."""
        if not self.begun:
            await self.whole(error.body(), _encoded(error.headers), error.status)
        else:
            await self.piece(shape.error_event(error))
            await self.end()


class _Watch:
    """Cancels the task that answers when the client hangs up, or reads for too long; within the
    `async with` that comes out as Gone."""

    def __init__(self, receive: Receive, chat: Chat) -> None:
        self._receive = receive
        self._seconds = (chat.deadline.remaining if chat.deadline else 0.0) + READING
        self._gone = False

    async def __aenter__(self) -> _Watch:
        answering = asyncio.current_task()
        assert answering is not None
        self._answering = answering
        loop = asyncio.get_running_loop()
        self._watching = loop.create_task(self._watch())
        self._timer = loop.call_later(self._seconds, self._cancel)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if self._gone and isinstance(error, asyncio.CancelledError):
            self._answering.uncancel()
            raise Gone from error

    def end(self) -> None:
        """Stops watching: the last of the answer is on its way."""
        self._watching.cancel()
        self._timer.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel(self) -> None:
        self._gone = True
        self._answering.cancel()


async def _body(chat: Chat, receive: Receive) -> bytes:
    """The body. Raises ApiError: 413 for one that is too large, 408 for one that never ends, 400
    for one that is no JSON by its own account; and Gone."""
    length = chat.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        chat.guarded = True
        raise ApiError(413, TOO_LARGE, code="body_too_large")
    kind = chat.headers.get("content-type")
    if kind is not None and "json" not in kind:
        raise ApiError(400, NOT_AN_OBJECT, code="invalid_value")
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(chat, message.get("body", b""))
    try:
        async with asyncio.timeout(SENDING):
            return await _pieces(chat, message, receive)
    except TimeoutError:
        raise ApiError(408, "The body did not come: send it at once.", code="timeout") from None


async def _pieces(chat: Chat, message: Mapping[str, object], receive: Receive) -> bytes:
    found = bytearray()
    while True:
        if message["type"] != "http.request":
            raise Gone
        found += message.get("body", b"")  # type: ignore[arg-type]
        if not message.get("more_body"):
            return bytes(found)
        _bounded(chat, found)
        message = await receive()


def _bounded(chat: Chat, body: bytes | bytearray) -> bytes:
    if len(body) > MAX_BODY:
        chat.guarded = True
        raise ApiError(413, TOO_LARGE, code="body_too_large")
    return bytes(body)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
