"""The answer as it goes over the wire: one JSON object, or server-sent events.

A stream's chunks differ in little, so that what they share is rendered once and only the text of
each is escaped. OpenAI's fields come first; `sources`, `supported`, `ai_generated`, `feature` and
`provider` are this service's own and stand on the last chunk of a stream.
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from llm_service.cache import SourceRow
from llm_service.calls import FinishReason, ToolCall, Usage
from llm_service.errors import ApiError
from llm_service.library import Hit

encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


class Tokens(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class MessageCall(msgspec.Struct, frozen=True):
    id: str
    function: Function
    type: Literal["function"] = "function"


class AssistantMessage(msgspec.Struct, frozen=True):
    content: str | None
    tool_calls: list[MessageCall] | msgspec.UnsetType = msgspec.UNSET
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    message: AssistantMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in one piece. `supported` says whether passages of the corpus hold the answer, and
    is null where none were to be read."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Tokens
    sources: list[SourceRow]
    supported: bool | None
    ai_generated: bool = True
    feature: str
    provider: str
    cost_micro_usd: float | None


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """The service's own fields of an answer."""

    sources: list[SourceRow]
    supported: bool | None
    ai_generated: bool = True
    feature: str
    provider: str
    cost_micro_usd: float | None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What all chunks of an answer begin with."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str


def tokens(usage: Usage) -> Tokens:
    """The tokens read and written, as OpenAI names them."""
    total = usage.prompt + usage.completion
    return Tokens(usage.prompt, usage.completion, total, {"cached_tokens": usage.cached})


def sources(hits: Sequence[Hit]) -> list[SourceRow]:
    """The hits as the `sources` field lists them, best first."""
    return [
        SourceRow(hit.passage.document.id, hit.passage.document.title, hit.score) for hit in hits
    ]


def message(text: str, calls: Sequence[ToolCall]) -> AssistantMessage:
    """What the assistant says; only a message with calls may be without text."""
    if not calls:
        return AssistantMessage(text)
    made = [MessageCall(call.id, Function(call.name, call.arguments)) for call in calls]
    return AssistantMessage(text or None, made)


def error_event(error: ApiError) -> bytes:
    """The event with which a stream ends that was cut."""
    return b"data: " + error.body() + b"\n\n"


class Chunks:
    """The events of one stream."""

    def __init__(self, head: Head, include_usage: bool) -> None:
        self._head = encode(head)[:-1]
        self._before = b"data: " + self._head + b',"choices":[{"index":0,"delta":'
        self._usage = b',"usage":null' if include_usage else b""
        self._after = b',"finish_reason":null}]' + self._usage + b"}\n\n"
        self._before_text = self._before + b'{"content":'
        self._after_text = b"}" + self._after

    def role(self) -> bytes:
        """The first chunk: who speaks."""
        return self._before + b'{"role":"assistant","content":""}' + self._after

    def text(self, piece: str) -> bytes:
        """A piece of the answer."""
        return self._before_text + encode(piece) + self._after_text

    def call(self, index: int, call: ToolCall) -> bytes:
        """A function that the client is to call."""
        made: dict[str, Any] = {
            "tool_calls": [
                {
                    "index": index,
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
            ]
        }
        return self._before + encode(made) + self._after

    def last(self, reason: FinishReason, own: Own) -> bytes:
        """The chunk that says why the answer ends, with the service's own fields."""
        end = b'{},"finish_reason":' + encode(reason) + b"}]" + self._usage + b","
        return self._before + end + encode(own)[1:] + b"\n\n"

    def usage(self, used: Tokens) -> bytes:
        """The chunk of the tokens, behind all others."""
        return b"data: " + self._head + b',"choices":[],"usage":' + encode(used) + b"}\n\n"
