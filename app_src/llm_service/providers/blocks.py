"""What formats made of content blocks share: Anthropic's messages and Bedrock's Converse.

A message is a list of blocks, a conversation a change of turns: neighbours in one role are one
message, the system prompt stands apart. In a stream every block has an index; a tool call begins,
comes in pieces and stops under its own. Both know the same words for the end of an answer, end
their temperatures at 1, refuse a stop sequence of nothing but white space, and count what is read
from and written to a cache apart from the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from llm_service.calls import (
    Call,
    Delta,
    End,
    Event,
    FinishReason,
    Message,
    Reply,
    Tool,
    ToolCall,
    Usage,
)
from llm_service.providers.failures import failure
from llm_service.providers.wire import decided, whole_calls

Objects = list[dict[str, Any]]

REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""How an answer ends, in the words of both."""


def reason_of(reasons: Mapping[str, FinishReason], word: str | None, provider: str) -> FinishReason:
    """What `word` stands for; a word that nobody knows is no end of an answer: ProviderError."""
    if word is None or word not in reasons:
        raise failure("malformed", provider)
    return reasons[word]


def call_of(call_id: str, name: str, arguments: msgspec.Raw, provider: str) -> ToolCall:
    """A tool call that came whole. Raises ProviderError for arguments that are not UTF-8."""
    try:
        return ToolCall(call_id, name, bytes(arguments).decode())
    except UnicodeDecodeError:
        raise failure("malformed", provider) from None


def reply_of(
    texts: Iterable[str], calls: list[ToolCall], reason: FinishReason, usage: Usage
) -> Reply:
    """The answer made of these blocks."""
    reason = decided(reason, bool(calls))
    return Reply(
        text="".join(texts),
        finish_reason=reason,
        usage=usage,
        tool_calls=whole_calls(calls, reason) if calls else (),
    )


class Gathered:
    """What a stream has told so far: the tool calls, and how the answer ended."""

    __slots__ = ("_begun", "_calls", "began", "reason")

    def __init__(self) -> None:
        self._begun: dict[int, tuple[ToolCall, list[str]]] = {}
        self._calls: list[ToolCall] = []
        self.reason: FinishReason | None = None
        self.began = False

    def begin(self, index: int, call: ToolCall) -> None:
        """A tool call; its arguments stand if no piece follows."""
        self._begun[index] = (call, [])

    def add(self, index: int, piece: str) -> None:
        """A piece of a tool call's arguments."""
        if index in self._begun:
            self._begun[index][1].append(piece)

    def stop(self, index: int) -> None:
        """A block is whole."""
        if index in self._begun:
            call, pieces = self._begun.pop(index)
            arguments = "".join(pieces) or call.arguments
            self._calls.append(ToolCall(call.id, call.name, arguments))

    def end(self, usage: Usage, provider: str) -> list[Event]:
        """The tool calls and the End. Raises ProviderError, see `Reader.end`."""
        if self.reason is None:
            raise failure("truncated" if self.began else "malformed", provider)
        reason = decided(self.reason, bool(self._calls))
        events: list[Event] = [Delta(tool_call=call) for call in whole_calls(self._calls, reason)]
        events.append(End(finish_reason=reason, usage=usage))
        return events


def turns(said: Sequence[Message], blocks_of: Callable[[Message], Objects]) -> Objects:
    """The conversation without its system prompt; a message without a block is left out."""
    found: Objects = []
    for message in said:
        blocks = blocks_of(message)
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system" or not blocks:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"] += blocks
        else:
            found.append({"role": role, "content": blocks})
    return found


def temperature_of(call: Call) -> float | None:
    """The temperature asked for, at most 1."""
    return None if call.temperature is None else min(call.temperature, 1.0)


def stops_of(call: Call) -> list[str]:
    """The stop sequences that would be taken."""
    return [text for text in call.stop if text.strip()]


def parameters_of(tool: Tool) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments; without one it takes none."""
    return tool.parameters or {"type": "object", "properties": {}}


def schema_of(call: Call) -> Any:
    """The JSON Schema that `response_format` asks for (OpenAI's field), if it asks for one."""
    if call.response_format is None or call.response_format.get("type") != "json_schema":
        return None
    asked = call.response_format.get("json_schema")
    return asked.get("schema") if isinstance(asked, dict) else None


def usage_of(
    prompt: int | None, completion: int | None, cached: int | None, written: int | None
) -> Usage:
    """The tokens as we count them: what was read from and written to a cache is of the prompt."""
    return Usage((prompt or 0) + (cached or 0) + (written or 0), completion or 0, cached or 0)
