"""Anthropic's messages: https://platform.claude.com/docs/en/api/messages.

The system prompt stands apart, tool calls and their results are blocks, the results of one round
are one user message, `max_tokens` is required. `seed`, `prediction`, `more` and a `response_format`
without a schema have no counterpart and are left out; temperatures end at 1.

Streams (https://platform.claude.com/docs/en/build-with-claude/streaming): message_start,
content_block_start/_delta/_stop, message_delta, message_stop; ping and events that are new are left
out; `error` is an error whenever it comes. A stream ends well once it gave a stop reason: that
comes after all of the content, and message_stop adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from llm_service.calls import (
    Call,
    Delta,
    Event,
    FinishReason,
    Message,
    ProviderError,
    Reply,
    Usage,
)
from llm_service.providers import blocks
from llm_service.providers.blocks import Gathered, call_of, reason_of
from llm_service.providers.failures import failure, of_name
from llm_service.providers.sse import Splitter, TooLong
from llm_service.providers.wire import arguments_object, read

MAX_TOKENS = 4096
"""The most tokens of an answer where nobody says: what every model of Anthropic's can write."""

REASONS: dict[str, FinishReason] = {**blocks.REASONS, "refusal": "content_filter"}
"""https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons; `pause_turn` only
comes with tools that run at Anthropic's, which are never asked for."""


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Answer(msgspec.Struct):
    type: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class _Delta(msgspec.Struct):
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Answer | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None


_answers = msgspec.json.Decoder(_Answer)
_events = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()


class AnthropicWire:
    """The format, for the provider called `name`; `omit` names fields that its models refuse."""

    def __init__(
        self, name: str, max_tokens: int = MAX_TOKENS, omit: frozenset[str] = frozenset()
    ) -> None:
        self._name, self._max_tokens, self._omit = name, max_tokens, omit

    def body(self, call: Call, stream: bool) -> bytes:
        """See `Wire`."""
        said: dict[str, Any] = {
            "model": call.model,
            "max_tokens": self._max_tokens if call.max_tokens is None else call.max_tokens,
            "messages": blocks.turns(call.messages, _blocks),
        }
        system = system_of(call.messages)
        if system:
            said["system"] = system
        if stream:
            said["stream"] = True
        _add_parameters(said, call)
        for field in self._omit:
            said.pop(field, None)
        return _encoder.encode(said)

    def reply(self, body: bytes) -> Reply:
        """See `Wire`."""
        answer = read(_answers, body, self._name)
        if answer.error is not None:
            raise of_name(self._name, answer.error.type, text=answer.error.message)
        if answer.content is None:
            raise failure("malformed", self._name)
        calls = [
            call_of(block.id, block.name, block.input, self._name)
            for block in answer.content
            if block.type == "tool_use"
        ]
        texts = [block.text for block in answer.content if block.type == "text"]
        reason = reason_of(REASONS, answer.stop_reason, self._name)
        return blocks.reply_of(texts, calls, reason, _usage(answer.usage or _Usage()))

    def reader(self) -> AnthropicReader:
        """See `Wire`."""
        return AnthropicReader(self._name)


class AnthropicReader:
    """Reads one stream of events. Text goes out as it comes, tool calls once they are complete."""

    __slots__ = ("_gathered", "_name", "_splitter", "_usage", "done")

    def __init__(self, name: str) -> None:
        self._name, self._splitter = name, Splitter()
        self._gathered, self._usage = Gathered(), _Usage()
        self.done = False

    def push(self, chunk: bytes) -> list[Event]:
        """See `Reader`."""
        try:
            found = self._splitter.push(chunk)
        except TooLong:
            raise failure("malformed", self._name) from None
        events: list[Event] = []
        for data in found:
            self._take(read(_events, data, self._name), events)
        return events

    def end(self) -> list[Event]:
        """See `Reader`."""
        events: list[Event] = []
        try:
            for data in self._splitter.rest():
                self._take(read(_events, data, self._name), events)
        except ProviderError as error:
            if error.kind != "malformed":
                raise
        return events + self._gathered.end(_usage(self._usage), self._name)

    def _take(self, event: _Event, events: list[Event]) -> None:
        self._gathered.began = True
        if self.done:
            return
        match event.type:
            case "content_block_delta":
                self._take_delta(event, events)
            case "content_block_start" if event.content_block is not None:
                self._begin(event.index, event.content_block, events)
            case "content_block_stop":
                self._gathered.stop(event.index)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    word = event.delta.stop_reason
                    self._gathered.reason = reason_of(REASONS, word, self._name)
            case "message_stop":
                self.done = True
            case "error":
                error = event.error or _Error()
                raise of_name(self._name, error.type, text=error.message)

    def _take_delta(self, event: _Event, events: list[Event]) -> None:
        if event.delta is None:
            return
        if event.delta.text:
            events.append(Delta(event.delta.text))
        elif event.delta.partial_json:
            self._gathered.add(event.index, event.delta.partial_json)

    def _begin(self, index: int, block: _Block, events: list[Event]) -> None:
        if block.type == "tool_use":
            call = call_of(block.id, block.name, block.input, self._name)
            self._gathered.begin(index, call)
        elif block.type == "text" and block.text:
            events.append(Delta(block.text))

    def _count(self, usage: _Usage | None) -> None:
        """Takes the counts that `usage` tells: they are sums, so the last one counts."""
        for field in _Usage.__struct_fields__ if usage is not None else ():
            count = getattr(usage, field)
            if count is not None:
                setattr(self._usage, field, count)


def system_of(said: Sequence[Message]) -> str:
    """The system prompt: every system message, wherever it stands."""
    texts = [message.content for message in said if message.role == "system"]
    return "\n\n".join(text for text in texts if text)


def _blocks(message: Message) -> list[dict[str, Any]]:
    """The blocks of a message; texts of nothing but white space are refused, and left out."""
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        return [{**result, "content": message.content}]
    text = message.content
    found: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
    for call in message.tool_calls:
        asked = arguments_object(call.arguments)
        found.append({"type": "tool_use", "id": call.id, "name": call.name, "input": asked})
    return found


def _add_parameters(said: dict[str, Any], call: Call) -> None:
    if call.temperature is not None:
        said["temperature"] = blocks.temperature_of(call)
    if call.top_p is not None:
        said["top_p"] = call.top_p
    stop = blocks.stops_of(call)
    if stop:
        said["stop_sequences"] = stop
    schema = blocks.schema_of(call)
    if schema is not None:
        said["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if call.tools:
        said["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": blocks.parameters_of(tool),
            }
            for tool in call.tools
        ]
        choice = _choice(call)
        if choice is not None:
            said["tool_choice"] = choice


def _choice(call: Call) -> dict[str, Any] | None:
    """Which tool is to be called, and whether several may be at once."""
    words = {"auto": "auto", "none": "none", "required": "any"}
    alone = call.parallel_tool_calls is False
    choice = call.tool_choice or ("auto" if alone else None)
    if choice is None:
        return None
    found = {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}
    return found | {"disable_parallel_tool_use": True} if alone and choice != "none" else found


def _usage(usage: _Usage) -> Usage:
    return blocks.usage_of(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    )
