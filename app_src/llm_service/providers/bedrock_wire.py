"""Amazon Bedrock's Converse: one format for the models of every maker.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and, for streams,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html: messages in
AWS's binary event stream (https://smithy.io/2.0/aws/amazon-eventstream.html). The model is in the
address, not in the body. `seed` and `prediction` have no counterpart and are left out, as is a
`response_format` without a schema; there is no way to forbid tools, so for `tool_choice` "none"
they are not offered, unless the conversation already used some: Bedrock wants to know those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from llm_service.calls import (
    Call,
    Delta,
    End,
    Event,
    FinishReason,
    Message,
    Reply,
    ToolCall,
    Usage,
)
from llm_service.providers.anthropic_wire import schema_of
from llm_service.providers.failures import failure, of_name
from llm_service.providers.wire import arguments_object, decided, read, whole_calls

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
"""`malformed_model_output` and `malformed_tool_use` are no answers."""


class _ToolUse(msgspec.Struct):
    toolUseId: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Block(msgspec.Struct):
    text: str = ""
    toolUse: _ToolUse | None = None


class _Message(msgspec.Struct):
    content: list[_Block] | None = None


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Usage(msgspec.Struct):
    inputTokens: int = 0
    outputTokens: int = 0
    cacheReadInputTokens: int | None = None
    cacheWriteInputTokens: int | None = None


class _Answer(msgspec.Struct):
    output: _Output | None = None
    stopReason: str | None = None
    usage: _Usage | None = None


class _ToolPiece(msgspec.Struct):
    toolUseId: str = ""
    name: str = ""
    input: str = ""


class _Piece(msgspec.Struct):
    text: str = ""
    toolUse: _ToolPiece | None = None


class _Event(msgspec.Struct):
    """Any event of a stream; its name is in the message's headers."""

    contentBlockIndex: int = 0
    start: _Piece | None = None
    delta: _Piece | None = None
    stopReason: str | None = None
    usage: _Usage | None = None
    message: str = ""


_answers = msgspec.json.Decoder(_Answer)
_events = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()


class Framed(Protocol):
    """A message of an event stream, as `botocore.eventstream` gives it."""

    headers: dict[str, Any]
    payload: bytes


class Frames(Protocol):
    """Puts an event stream's messages together from its bytes."""

    def add_data(self, data: bytes) -> None:
        """Takes bytes as they come."""
        ...

    def next(self) -> Framed:
        """The next whole message. Raises StopIteration if there is none yet."""
        ...


class BedrockWire:
    """The format, for the provider called `name`.

    `frames` makes what reads an event stream and `damaged` is what it raises for bytes that are
    none. `omit` names members of `inferenceConfig` that the models refuse.
    """

    def __init__(
        self,
        name: str,
        frames: type[Frames],
        damaged: type[Exception],
        omit: frozenset[str] = frozenset(),
    ) -> None:
        self._name, self._omit = name, omit
        self.frames, self.damaged = frames, damaged

    def body(self, call: Call, stream: bool) -> bytes:
        """See `Wire`; both operations take the same body."""
        said: dict[str, Any] = {"messages": messages(call.messages)}
        system = [
            {"text": message.content}
            for message in call.messages
            if message.role == "system" and message.content
        ]
        if system:
            said["system"] = system
        inference = {key: value for key, value in _inference(call) if key not in self._omit}
        if inference:
            said["inferenceConfig"] = inference
        tools = _tools(call)
        if tools is not None:
            said["toolConfig"] = tools
        schema = schema_of(call)
        if schema is not None:
            text = _encoder.encode(schema).decode()
            structure = {"jsonSchema": {"schema": text}}
            said["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
        return _encoder.encode(said)

    def reply(self, body: bytes) -> Reply:
        """See `Wire`."""
        answer = read(_answers, body, self._name)
        message = answer.output.message if answer.output is not None else None
        if message is None or message.content is None:
            raise failure("malformed", self._name)
        calls = [
            ToolCall(used.toolUseId, used.name, bytes(used.input).decode())
            for block in message.content
            if (used := block.toolUse) is not None
        ]
        reason = decided(self.reason(answer.stopReason), bool(calls))
        return Reply(
            text="".join(block.text for block in message.content),
            finish_reason=reason,
            usage=_usage(answer.usage),
            tool_calls=whole_calls(calls, reason) if calls else (),
        )

    def reader(self) -> BedrockReader:
        """See `Wire`."""
        return BedrockReader(self, self._name)

    def reason(self, word: str | None) -> FinishReason:
        """What `word` stands for; a word that nobody knows is no end of an answer."""
        if word not in REASONS:
            raise failure("malformed", self._name)
        return REASONS[word]


class BedrockReader:
    """Reads one event stream. Text goes out as it comes, tool calls once they are complete."""

    __slots__ = (
        "_began",
        "_begun",
        "_calls",
        "_frames",
        "_name",
        "_reason",
        "_usage",
        "_wire",
        "done",
    )

    def __init__(self, wire: BedrockWire, name: str) -> None:
        self._wire, self._name, self._frames = wire, name, wire.frames()
        self._begun: dict[int, tuple[_ToolPiece, list[str]]] = {}
        self._calls: list[ToolCall] = []
        self._reason: FinishReason | None = None
        self._usage: _Usage | None = None
        self._began = self.done = False

    def push(self, chunk: bytes) -> list[Event]:
        """See `Reader`."""
        events: list[Event] = []
        self._frames.add_data(chunk)
        while True:
            try:
                frame = self._frames.next()
            except StopIteration:
                return events
            except self._wire.damaged:
                raise failure("malformed", self._name) from None
            self._take(frame, events)

    def end(self) -> list[Event]:
        """See `Reader`."""
        if self._reason is None:
            raise failure("truncated" if self._began else "malformed", self._name)
        reason = decided(self._reason, bool(self._calls))
        events: list[Event] = [Delta(tool_call=call) for call in whole_calls(self._calls, reason)]
        events.append(End(finish_reason=reason, usage=_usage(self._usage)))
        return events

    def _take(self, frame: Framed, events: list[Event]) -> None:
        self._began = True
        if self.done:
            return
        headers = frame.headers
        if headers.get(":message-type") != "event":
            kind = headers.get(":exception-type") or headers.get(":error-code")
            raise of_name(self._name, kind, text=frame.payload.decode(errors="replace"))
        event = read(_events, frame.payload, self._name)
        index = event.contentBlockIndex
        match headers.get(":event-type"):
            case "contentBlockDelta" if event.delta is not None:
                self._take_delta(index, event.delta, events)
            case "contentBlockStart" if event.start is not None and event.start.toolUse is not None:
                self._begun[index] = (event.start.toolUse, [])
            case "contentBlockStop":
                self._finish(index)
            case "messageStop":
                self._reason = self._wire.reason(event.stopReason)
            case "metadata":
                self._usage = event.usage
                self.done = self._reason is not None

    def _take_delta(self, index: int, delta: _Piece, events: list[Event]) -> None:
        if delta.text:
            events.append(Delta(delta.text))
        elif delta.toolUse is not None and index in self._begun:
            self._begun[index][1].append(delta.toolUse.input)

    def _finish(self, index: int) -> None:
        if index in self._begun:
            begun, pieces = self._begun.pop(index)
            self._calls.append(ToolCall(begun.toolUseId, begun.name, "".join(pieces) or "{}"))


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
    if message.role == "tool":
        content = [{"text": message.content}] if message.content.strip() else []
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": content}}]
    text = message.content
    blocks: list[dict[str, Any]] = [{"text": text}] if text.strip() else []
    for call in message.tool_calls:
        asked = arguments_object(call.arguments)
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": asked}})
    return blocks


def _inference(call: Call) -> list[tuple[str, Any]]:
    stop = [text for text in call.stop if text.strip()]
    temperature = None if call.temperature is None else min(call.temperature, 1.0)
    found = [
        ("maxTokens", call.max_tokens),
        ("temperature", temperature),
        ("topP", call.top_p),
        ("stopSequences", stop or None),
    ]
    return [(key, value) for key, value in found if value is not None]


def _tools(call: Call) -> dict[str, Any] | None:
    used = any(message.tool_calls or message.role == "tool" for message in call.messages)
    if not call.tools or (call.tool_choice == "none" and not used):
        return None
    config: dict[str, Any] = {"tools": [_tool(tool) for tool in call.tools]}
    if call.tool_choice not in (None, "none"):
        words: dict[str | None, Any] = {"auto": {"auto": {}}, "required": {"any": {}}}
        config["toolChoice"] = words.get(call.tool_choice, {"tool": {"name": call.tool_choice}})
    return config


def _tool(tool: Any) -> dict[str, Any]:
    schema = tool.parameters or {"type": "object", "properties": {}}
    spec = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _usage(usage: _Usage | None) -> Usage:
    """Bedrock counts what is read from and written to a cache apart from `inputTokens`."""
    if usage is None:
        return Usage()
    cached = usage.cacheReadInputTokens or 0
    read_tokens = usage.inputTokens + cached + (usage.cacheWriteInputTokens or 0)
    return Usage(read_tokens, usage.outputTokens, cached)
