"""One answer on its way out: as a completion in one piece, or as a stream of chunks."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from llm_service.library import Hit
from llm_service.metrics import Answered
from llm_service.provider import Answer
from llm_service.shapes import (
    AssistantMessage,
    ChatChunk,
    ChatCompletion,
    Choice,
    ChunkChoice,
    Delta,
    Source,
    Usage,
)

PIECE = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer with the id and the time it has in every shape it is sent in.

    `guarded` if the guardrail replaced what the provider said.
    """

    answer: Answer
    model: str
    release: str
    measured: Answered
    guarded: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self) -> str:
        """The JSON of a `chat.completion`."""
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.release,
            choices=[
                Choice(
                    message=AssistantMessage(content=self.answer.text),
                    finish_reason=self.answer.finish_reason,
                )
            ],
            usage=self.usage,
            sources=sources(self.answer.sources),
        ).model_dump_json()

    async def events(self, include_usage: bool) -> AsyncIterator[str]:
        """Server-sent events: the role, the text word by word, why it ended, `[DONE]`."""
        yield self._event(Delta(role="assistant", content=""))
        for piece in PIECE.findall(self.answer.text):
            yield self._event(Delta(content=piece))
        yield self._event(Delta(), self.answer.finish_reason)
        if include_usage:
            yield _event(self._chunk([], self.usage))
        yield "data: [DONE]\n\n"

    @property
    def usage(self) -> Usage:
        """The tokens read and written."""
        read, written = self.answer.prompt_tokens, self.answer.completion_tokens
        return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)

    def _event(self, delta: Delta, reason: Literal["stop", "length"] | None = None) -> str:
        chunk = self._chunk([ChunkChoice(delta=delta, finish_reason=reason)], None)
        if reason:
            chunk.sources = sources(self.answer.sources)
        return _event(chunk)

    def _chunk(self, choices: list[ChunkChoice], usage: Usage | None) -> ChatChunk:
        return ChatChunk(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.release,
            choices=choices,
            usage=usage,
        )


def sources(hits: tuple[Hit, ...]) -> list[Source]:
    """The hits as the `sources` field lists them, best first."""
    return [
        Source(id=hit.passage.document.id, title=hit.passage.document.title, score=hit.score)
        for hit in hits
    ]


def _event(chunk: ChatChunk) -> str:
    return f"data: {chunk.model_dump_json()}\n\n"
