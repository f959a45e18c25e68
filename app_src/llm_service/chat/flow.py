"""A chat from the body of its request to the bytes of its answer.

    admitting (sync) -> cache -> prompting -> answering -> shape

What went wrong is an ApiError; what came of it is in the Chat, for recording.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from llm_service import safety
from llm_service.bundle import Feature
from llm_service.cache import Cache, Cached, CacheKey, SourceRow, key_of
from llm_service.chat import charging, shape
from llm_service.chat.admitting import Admitting, target
from llm_service.chat.answering import Answering
from llm_service.chat.asked import question
from llm_service.chat.known import Known, KnownBodies
from llm_service.chat.state import ATTEMPTS, Chat, FeatureCall
from llm_service.prices import Price

CONTROL = "cache-control"
"""RFC 9111, section 5.2.1: `no-cache` asks anew, `no-store` keeps nothing either."""


@dataclass
class Flow:
    """Answers chats on behalf of `release`."""

    release: str
    admitting: Admitting
    answering: Answering
    cache: Cache
    own_price: Price | None = None
    _bodies: KnownBodies = field(default_factory=KnownBodies)

    def take(self, chat: Chat, body: bytes) -> FeatureCall | Cached:
        """What is asked of whom, within the limits, or the answer that this process has given
        before. Raises ApiError."""
        ATTEMPTS.set(chat.attempts)
        known = self._bodies.get(body)
        self.admitting.take(chat, body, known)
        if known is None:
            chat.injection = safety.injection(question(chat.messages))
        else:
            chat.injection = known.injection
        assert chat.feature is not None
        if chat.feature.cache.mode == "off" or "no-store" in chat.headers.get(CONTROL, ""):
            return self.answering.prompting.asked(chat)
        return self._looked_up(chat, chat.feature, body, known)

    async def whole(self, chat: Chat, asked: FeatureCall | Cached) -> bytes:
        """The JSON of a `chat.completion`. Raises ApiError."""
        cached = await self._cached(chat, asked)
        if cached is not None:
            return self.again(chat, cached)
        assert isinstance(asked, FeatureCall)
        await self.answering.whole(chat, asked)
        return self._completion(chat)

    def again(self, chat: Chat, cached: Cached) -> bytes:
        """The same, of an answer that was given before."""
        _give_again(chat, cached)
        return self._completion(chat)

    async def stream(self, chat: Chat, asked: FeatureCall | Cached) -> Streaming:
        """The answer as it comes. Raises ApiError."""
        cached = await self._cached(chat, asked)
        if cached is not None:
            _give_again(chat, cached)
            return Streaming(self, chat, _alone(cached.text))
        assert isinstance(asked, FeatureCall)
        return Streaming(self, chat, self.answering.pieces(chat, asked))

    def _completion(self, chat: Chat) -> bytes:
        completion = shape.ChatCompletion(
            id=chat.id,
            created=chat.created,
            model=_model(chat),
            system_fingerprint=self.release,
            choices=[shape.Choice(shape.message(chat.text, chat.tool_calls), chat.finish_reason)],
            usage=shape.tokens(chat.usage),
            sources=_sources(chat),
            supported=chat.supported,
            feature=_feature(chat),
            provider=_provider(chat),
            cost_micro_usd=charging.cost(chat, self.own_price),
        )
        return shape.encode(completion)

    def _looked_up(
        self, chat: Chat, feature: Feature, body: bytes, known: Known | None
    ) -> FeatureCall | Cached:
        """The answer that this process keeps; else what is asked, with the key to keep it at."""
        scope = (chat.principal.name, feature, chat.variant, tuple(chat.targets))
        if known is not None and known.scope == scope:
            chat.cache_key = known.key
            return self._peeked(chat, known.key) or self.answering.prompting.asked(chat)
        call = self.answering.prompting.asked(chat)
        key = chat.cache_key = self._key(chat, feature, call)
        if key is None:
            return call
        assert chat.request is not None
        assert chat.injection is not None
        read = Known(chat.request, chat.messages, chat.injection, scope, key)
        self._bodies.put(body, read)
        return self._peeked(chat, key) or call

    def _peeked(self, chat: Chat, key: CacheKey) -> Cached | None:
        """The answer that this process keeps; None for a client that wants a new one."""
        if "no-cache" in chat.headers.get(CONTROL, ""):
            chat.cached = "miss"
            return None
        return self.cache.peek(key)

    def _key(self, chat: Chat, feature: Feature, call: FeatureCall) -> CacheKey | None:
        assert chat.request is not None
        return key_of(
            call,
            feature.cache,
            release=self.release,
            feature=f"{feature.name}/{chat.variant}/{self.admitting.bundle.digest}",
            principal=chat.principal,
            user=chat.request.caller,
            models=tuple(f"{each.provider}/{each.model}" for each in chat.targets),
            redact=lambda text: safety.redact(text).text,
        )

    async def _cached(self, chat: Chat, asked: FeatureCall | Cached) -> Cached | None:
        """The answer that was given before, here or in another task."""
        if isinstance(asked, Cached):
            return asked
        if chat.cache_key is None or chat.cached == "miss":
            return None
        found = await self.cache.get(chat.cache_key)
        chat.cached = "miss"
        return found


class Streaming:
    """A streamed answer: the `pieces` of its text, and the server-sent events that carry them."""

    def __init__(self, flow: Flow, chat: Chat, pieces: AsyncGenerator[str, None]) -> None:
        self.pieces, self._flow, self._chat = pieces, flow, chat
        self._chunks: shape.Chunks | None = None

    def event(self, piece: str) -> bytes:
        """The event of a piece; in front of the first one stands who speaks."""
        if self._chunks is not None:
            return self._chunks.text(piece)
        chunks = self._begun()
        return chunks.role() + chunks.text(piece)

    def last(self) -> bytes:
        """The events between the last piece and the end."""
        chat, request = self._chat, self._chat.request
        assert request is not None
        first = b"" if self._chunks is not None else self._begun().role()
        assert self._chunks is not None
        own = shape.Own(
            sources=_sources(chat),
            supported=chat.supported,
            feature=_feature(chat),
            provider=_provider(chat),
            cost_micro_usd=charging.cost(chat, self._flow.own_price),
        )
        calls = (self._chunks.call(index, made) for index, made in enumerate(chat.tool_calls))
        last = self._chunks.last(chat.finish_reason, own)
        usage = self._chunks.usage(shape.tokens(chat.usage)) if request.include_usage else b""
        return b"".join((first, *calls, last, usage))

    def _begun(self) -> shape.Chunks:
        chat, request = self._chat, self._chat.request
        assert request is not None
        chat.first = chat.first or time.perf_counter()
        head = shape.Head(
            id=chat.id,
            created=chat.created,
            model=_model(chat),
            system_fingerprint=self._flow.release,
        )
        self._chunks = shape.Chunks(head, request.include_usage)
        return self._chunks


async def _alone(text: str) -> AsyncGenerator[str, None]:
    yield text


def _give_again(chat: Chat, cached: Cached) -> None:
    """Fills in an answer that was given before."""
    chat.text, chat.usage, chat.fingerprint = cached.text, cached.usage, cached.fingerprint
    chat.target, chat.refused = target(cached.model), cached.refused
    chat.sources = cached.sources
    assert chat.feature is not None
    if chat.feature.retrieval != "none":
        chat.supported = not cached.refused
    chat.cached = "exact" if cached.similarity >= 1 else "semantic"
    chat.first = time.perf_counter()
    chat.answered = True


def _sources(chat: Chat) -> list[SourceRow]:
    """The documents that the answer names as read, best first."""
    if chat.hits is not None:
        chat.sources = shape.sources(chat.hits)
    return list(chat.sources)


def _model(chat: Chat) -> str:
    return chat.target.model if chat.target else ""


def _provider(chat: Chat) -> str:
    return chat.target.provider if chat.target else ""


def _feature(chat: Chat) -> str:
    return chat.feature.name if chat.feature else ""
