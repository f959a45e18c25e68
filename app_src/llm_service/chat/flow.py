"""A chat from the body of its request to the bytes of its answer.

    admitting (sync) -> cache -> prompting -> answering -> shape

What went wrong is an ApiError; what came of it is in the Chat, for recording.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from llm_service import safety
from llm_service.cache import Cache, Cached, SourceRow, key_of
from llm_service.chat import charging, shape
from llm_service.chat.admitting import Admitting, target
from llm_service.chat.answering import Answering
from llm_service.chat.asked import question
from llm_service.chat.state import ATTEMPTS, Chat, FeatureCall
from llm_service.prices import Price


@dataclass
class Flow:
    """Answers chats on behalf of `release`."""

    release: str
    admitting: Admitting
    answering: Answering
    cache: Cache
    own_price: Price | None = None

    def take(self, chat: Chat, body: bytes) -> FeatureCall:
        """What is asked of whom, within the limits. Raises ApiError."""
        ATTEMPTS.set(chat.attempts)
        self.admitting.take(chat, body)
        chat.injection = safety.injection(question(chat.messages))
        return self.answering.prompting.asked(chat)

    async def whole(self, chat: Chat, call: FeatureCall) -> bytes:
        """The JSON of a `chat.completion`. Raises ApiError."""
        cached = await self._cached(chat, call)
        if cached is None:
            await self.answering.whole(chat, call)
        else:
            _give_again(chat, cached)
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

    async def events(self, chat: Chat, call: FeatureCall) -> AsyncGenerator[bytes, None]:
        """The server-sent events of the answer. Raises ApiError, before the first or within."""
        assert chat.request is not None
        chunks = None
        async with aclosing(await self._pieces(chat, call)) as pieces:
            async for piece in pieces:
                if chunks is None:
                    chunks = self._chunks(chat)
                    yield chunks.role()
                yield chunks.text(piece)
        if chunks is None:
            chunks = self._chunks(chat)
            yield chunks.role()
        for index, made in enumerate(chat.tool_calls):
            yield chunks.call(index, made)
        own = shape.Own(
            sources=_sources(chat),
            supported=chat.supported,
            feature=_feature(chat),
            provider=_provider(chat),
            cost_micro_usd=charging.cost(chat, self.own_price),
        )
        yield chunks.last(chat.finish_reason, own)
        if chat.request.include_usage:
            yield chunks.usage(shape.tokens(chat.usage))
        yield shape.DONE

    async def _pieces(self, chat: Chat, call: FeatureCall) -> AsyncGenerator[str, None]:
        """The text of the answer piece by piece, or at once if it was given before."""
        cached = await self._cached(chat, call)
        if cached is None:
            return self.answering.pieces(chat, call)
        _give_again(chat, cached)
        return _alone(cached.text)

    def _chunks(self, chat: Chat) -> shape.Chunks:
        assert chat.request is not None
        if chat.first is None:
            chat.first = time.perf_counter()
        head = shape.Head(
            id=chat.id,
            created=chat.created,
            model=_model(chat),
            system_fingerprint=self.release,
        )
        return shape.Chunks(head, chat.request.include_usage)

    async def _cached(self, chat: Chat, call: FeatureCall) -> Cached | None:
        """The answer that was given before, if the feature keeps answers."""
        feature, request = chat.feature, chat.request
        assert feature is not None
        assert request is not None
        if feature.cache.mode == "off":
            return None
        chat.cache_key = key_of(
            call,
            feature.cache,
            release=self.release,
            feature=f"{feature.name}/{chat.variant}/{self.admitting.bundle.digest}",
            principal=chat.principal,
            user=request.caller,
            models=tuple(f"{each.provider}/{each.model}" for each in chat.targets),
            redact=lambda text: safety.redact(text).text,
        )
        if chat.cache_key is None:
            return None
        found = self.cache.peek(chat.cache_key) or await self.cache.get(chat.cache_key)
        chat.cached = "miss"
        return found


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
