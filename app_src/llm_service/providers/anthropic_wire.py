"""Anthropic's messages: https://platform.claude.com/docs/en/api/messages.

The system prompt stands apart, tool calls and their results are blocks, the results of one round
are one user message, `max_tokens` is required. `seed`, `prediction` and a `response_format` without
a schema have no counterpart and are left out; temperatures end at 1.

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
    End,
    Event,
    FinishReason,
    Message,
    ProviderError,
    Reply,
    ToolCall,
    Usage,
)
from llm_service.providers.failures import failure, of_name
from llm_service.providers.sse import Splitter, TooLong
from llm_service.providers.wire import arguments_object, decided, read, whole_calls

MAX_TOKENS = 4096
"""The most tokens of an answer where nobody says: what every model of Anthropic's can write."""

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
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
            "messages": messages(call.messages),
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
            ToolCall(block.id, block.name, bytes(block.input).decode())
            for block in answer.content
            if block.type == "tool_use"
        ]
        reason = decided(self.reason(answer.stop_reason), bool(calls))
        return Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            finish_reason=reason,
            usage=_usage(answer.usage or _Usage()),
            tool_calls=whole_calls(calls, reason) if calls else (),
        )

    def reader(self) -> AnthropicReader:
        """See `Wire`."""
        return AnthropicReader(self, self._name)

    def reason(self, word: str | None) -> FinishReason:
        """What `word` stands for; a word that nobody knows is no end of an answer."""
        if word not in REASONS:
            raise failure("malformed", self._name)
        return REASONS[word]


class AnthropicReader:
    """Reads one stream of events. Text goes out as it comes, tool calls once they are complete."""

    __slots__ = (
        "_began",
        "_begun",
        "_calls",
        "_name",
        "_reason",
        "_splitter",
        "_usage",
        "_wire",
        "done",
    )

    def __init__(self, wire: AnthropicWire, name: str) -> None:
        self._wire, self._name, self._splitter = wire, name, Splitter()
        self._begun: dict[int, tuple[_Block, list[str]]] = {}
        self._calls: list[ToolCall] = []
        self._reason: FinishReason | None = None
        self._usage = _Usage()
        self._began = self.done = False

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
        if self._reason is None:
            raise failure("truncated" if self._began else "malformed", self._name)
        reason = decided(self._reason, bool(self._calls))
        events.extend(Delta(tool_call=call) for call in whole_calls(self._calls, reason))
        events.append(End(finish_reason=reason, usage=_usage(self._usage)))
        return events

    def _take(self, event: _Event, events: list[Event]) -> None:
        self._began = True
        if self.done:
            return
        match event.type:
            case "content_block_delta":
                self._take_delta(event, events)
            case "content_block_start" if event.content_block is not None:
                self._begin(event.index, event.content_block, events)
            case "content_block_stop":
                self._finish(event.index)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    self._reason = self._wire.reason(event.delta.stop_reason)
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
        elif event.delta.partial_json and event.index in self._begun:
            self._begun[event.index][1].append(event.delta.partial_json)

    def _begin(self, index: int, block: _Block, events: list[Event]) -> None:
        if block.type == "tool_use":
            self._begun[index] = (block, [])
        elif block.type == "text" and block.text:
            events.append(Delta(block.text))

    def _finish(self, index: int) -> None:
        """A tool call without a piece of input has the input it began with: `{}`."""
        if index in self._begun:
            block, pieces = self._begun.pop(index)
            arguments = "".join(pieces) or bytes(block.input).decode()
            self._calls.append(ToolCall(block.id, block.name, arguments))

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


def messages(said: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation as blocks; what follows in the same role is one message."""
    turns: list[dict[str, Any]] = []
    for message in said:
        blocks = _blocks(message)
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system" or not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    """The blocks of a message; texts of nothing but white space are refused, and left out."""
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        return [{**result, "content": message.content}]
    text = message.content
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text.strip() else []
    for call in message.tool_calls:
        asked = arguments_object(call.arguments)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": asked})
    return blocks


def _add_parameters(said: dict[str, Any], call: Call) -> None:
    if call.temperature is not None:
        said["temperature"] = min(call.temperature, 1.0)
    if call.top_p is not None:
        said["top_p"] = call.top_p
    stop = [text for text in call.stop if text.strip()]
    if stop:
        said["stop_sequences"] = stop
    schema = schema_of(call)
    if schema is not None:
        said["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if call.tools:
        said["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters or {"type": "object", "properties": {}},
            }
            for tool in call.tools
        ]
        if call.tool_choice is not None:
            said["tool_choice"] = _choice(call.tool_choice)


def schema_of(call: Call) -> Any:
    """The JSON Schema that `response_format` asks for (OpenAI's field), if it asks for one."""
    if call.response_format is None or call.response_format.get("type") != "json_schema":
        return None
    asked = call.response_format.get("json_schema")
    return asked.get("schema") if isinstance(asked, dict) else None


def _choice(choice: str) -> dict[str, str]:
    words = {"auto": "auto", "none": "none", "required": "any"}
    return {"type": words[choice]} if choice in words else {"type": "tool", "name": choice}


def _usage(usage: _Usage) -> Usage:
    """Anthropic counts what is read from and written to its cache apart from `input_tokens`."""
    cached = usage.cache_read_input_tokens or 0
    read_tokens = (usage.input_tokens or 0) + cached + (usage.cache_creation_input_tokens or 0)
    return Usage(read_tokens, usage.output_tokens or 0, cached)
