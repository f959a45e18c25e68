"""One HTTP request of POST /v1/chat/completions, as ASGI gives it.

While an answer is made, a client that hangs up cancels everything at once: in the middle of a
stream, before its first token, or where nothing is streamed. The service's own protocol tells of it
by a call; ASGI by `http.disconnect` alone, for which another task has to wait. A timer bounds the
time a client may take to read its answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from llm_service.auth import Known, Principal
from llm_service.cache import Cached
from llm_service.chat import shape
from llm_service.chat.flow import Flow
from llm_service.chat.recording import Recording
from llm_service.chat.state import CANCELLED, DIRECT, Chat, FeatureCall
from llm_service.errors import NOT_AN_OBJECT, ApiError, internal, unauthorized
from llm_service.limits import Limits

if TYPE_CHECKING:  # a function and a worker have no uvicorn
    from llm_service.protocol import Direct

logger = logging.getLogger("llm_service")

MAX_BODY = 1024 * 1024
TOO_LARGE = f"The body is too large: send at most {MAX_BODY} bytes."
LATE = "The body did not come: send it at once."
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
READING = 30.0
"""Seconds beyond its deadline that a client may take to read an answer."""
SENDING = 60.0
"""Seconds that a client may take to send its body."""
AT_ONCE = 64
"""Ids that are drawn from the system's random numbers in one call."""
JSON, EVENTS = b"application/json", b"text/event-stream; charset=utf-8"
KIND = (b"content-type", JSON)
AI_GENERATED = (b"x-llmops-ai-generated", b"true")

RawHeaders = Sequence[tuple[bytes, bytes]]
_NONE: Mapping[str, Any] = {}


class Gone(Exception):
    """The client hung up."""


class _Random:
    """Random hexadecimal digits: the system is asked for many at once, a fork begins anew."""

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Drops what is left."""
        self._left: list[str] = []

    def next(self) -> str:
        """24 digits that nobody can guess and nobody gets again."""
        try:
            return self._left.pop()
        except IndexError:
            block = os.urandom(12 * AT_ONCE).hex()
            self._left = [block[i : i + 24] for i in range(24, len(block), 24)]
            return block[:24]


_random = _Random()


def new_id(prefix: str) -> str:
    """An id that nobody can guess."""
    return prefix + _random.next()


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

    def __post_init__(self) -> None:
        self._named = (b"x-llmops-release", self.release.encode("latin-1", "replace"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        asked = request_id(headers.get("x-request-id"))
        chat = Chat(id=new_id("chatcmpl-"), request_id=asked, headers=headers)
        direct = scope.get("extensions", _NONE).get(DIRECT)
        answer = _Answer(send, direct, self._heads(chat))
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
        JSON body. `headers` in small letters. Raises ApiError."""
        asked = request_id(headers.get("x-request-id"))
        chat = Chat(id=new_id("chatcmpl-"), request_id=asked, headers=headers, principal=principal)
        try:
            found = await self.flow.whole(chat, self.flow.take(chat, body))
            chat.status = 200
            return 200, found
        except ApiError as error:
            chat.status = error.status
            raise
        except asyncio.CancelledError:
            chat.status = CANCELLED
            raise
        finally:
            self.recording.record(chat)

    async def _answer(self, chat: Chat, receive: Receive, answer: _Answer) -> None:
        if self.tokens is not None:
            await self._know(chat, self.tokens)
        body = await _body(chat, receive, answer.direct)
        asked = self.flow.take(chat, body)
        if isinstance(asked, Cached) and not chat.stream:
            chat.status = 200
            await answer.whole(self.flow.again(chat, asked), self._more(chat))
            return
        with _Watch(receive, answer.direct, chat) as watch:
            if chat.stream:
                await self._stream(chat, asked, answer, watch)
            else:
                found = await self.flow.whole(chat, asked)
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

    async def _stream(
        self, chat: Chat, asked: FeatureCall | Cached, answer: _Answer, watch: _Watch
    ) -> None:
        streaming = await self.flow.stream(chat, asked)
        async with aclosing(streaming.pieces) as pieces:
            async for piece in pieces:
                event = streaming.event(piece)
                if not answer.begun:
                    chat.status = 200
                    await answer.begin(self._more(chat), event)
                elif not answer.at_once(event):
                    await answer.piece(event)
        last = streaming.last()
        if not answer.begun:
            chat.status = 200
            await answer.begin(self._more(chat), last)
        elif not answer.at_once(last):
            await answer.piece(last)
        watch.end()
        await answer.end(shape.DONE)

    def _heads(self, chat: Chat) -> list[tuple[bytes, bytes]]:
        """What every answer carries."""
        return [self._named, (b"x-request-id", chat.request_id.encode())]

    def _more(self, chat: Chat) -> list[tuple[bytes, bytes]]:
        """What an answer of a model carries beside."""
        more = [AI_GENERATED]
        if chat.cached is not None:
            more.append((b"x-llmops-cache", chat.cached.encode()))
        if chat.over_budget:
            more.append((b"x-llmops-budget", b"over"))
        if chat.admission is not None:
            more += _encoded(self.limits.headers(chat.admission))
        return more


class _Answer:
    """The way back to the client, past ASGI where there is one; every head carries `common`."""

    def __init__(
        self, send: Send, direct: Direct | None, common: list[tuple[bytes, bytes]]
    ) -> None:
        self._send, self.direct, self._common = send, direct, common
        self.begun = False

    async def begin(self, more: RawHeaders, event: bytes) -> None:
        """Sends the head of a stream, and its first event."""
        self.begun = True
        headers = ((b"content-type", EVENTS), *self._common, *more)
        if self.direct is None or not self.direct.begin(200, headers, event):
            await self._head(200, headers)
            await self.piece(event)

    def at_once(self, event: bytes) -> bool:
        """Sends an event, unless that has to wait."""
        return self.direct is not None and self.direct.piece(event)

    async def piece(self, event: bytes) -> None:
        """Sends an event that could not be sent at once."""
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    async def end(self, event: bytes) -> None:
        """Sends the last event of a stream."""
        if self.direct is None or not self.direct.end(event):
            await self._send({"type": "http.response.body", "body": event, "more_body": False})

    async def whole(self, body: bytes, more: RawHeaders, status: int = 200) -> None:
        """Sends an answer in one piece."""
        length = (b"content-length", b"%d" % len(body))
        headers = (KIND, *self._common, length, *more)
        self.begun = True
        if self.direct is None or not self.direct.whole(status, headers, body):
            await self._head(status, headers)
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: ApiError) -> None:
        """Sends the error; in a stream that has begun as its last event."""
        if not self.begun:
            await self.whole(error.body(), _encoded(error.headers), error.status)
        else:
            await self.end(shape.error_event(error))

    async def _head(self, status: int, headers: RawHeaders) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


class _Watch:
    """Cancels the task that answers when the client hangs up, or reads for too long; within the
    `with` that comes out as Gone."""

    def __init__(self, receive: Receive, direct: Direct | None, chat: Chat) -> None:
        self._receive, self._direct = receive, direct
        self._seconds = (chat.deadline.remaining if chat.deadline else 0.0) + READING
        self._gone = False
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> _Watch:
        answering = asyncio.current_task()
        assert answering is not None
        self._answering = answering
        loop = asyncio.get_running_loop()
        if self._direct is not None:
            self._direct.watch(self._cancel)
        else:
            self._watching = loop.create_task(self._watch())
        self._timer = loop.call_later(self._seconds, self._cancel)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.end()
        if self._gone and isinstance(error, asyncio.CancelledError):
            self._answering.uncancel()
            raise Gone from error

    def end(self) -> None:
        """Stops watching: the last of the answer is on its way."""
        self._timer.cancel()
        if self._direct is not None:
            self._direct.leave()
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel(self) -> None:
        self._gone = True
        self._answering.cancel()


async def _body(chat: Chat, receive: Receive, direct: Direct | None) -> bytes:
    """The body. Raises ApiError: 413 for one that is too large, 408 for one that never ends, 400
    for one that is no JSON by its own account; and Gone."""
    length = chat.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        chat.guarded = True
        raise ApiError(413, TOO_LARGE, code="body_too_large")
    kind = chat.headers.get("content-type")
    if kind is not None and "json" not in kind and "json" not in kind.lower():
        raise ApiError(400, NOT_AN_OBJECT, code="invalid_value")
    if direct is not None and (whole := direct.body()) is not None:
        return _bounded(chat, whole)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return _bounded(chat, message.get("body", b""))
    try:
        async with asyncio.timeout(SENDING):
            return await _pieces(chat, message, receive)
    except TimeoutError:
        raise ApiError(408, LATE, code="timeout") from None


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
    return [(_name(name), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=64)
def _name(name: str) -> bytes:
    return name.lower().encode("latin-1")
