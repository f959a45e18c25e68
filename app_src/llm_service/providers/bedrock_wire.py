"""Amazon Bedrock's Converse: one format for the models of every maker.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and, for streams,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html: messages in
AWS's binary event stream (https://smithy.io/2.0/aws/amazon-eventstream.html). The model is in the
address, not in the body. `seed` and `prediction` have no counterpart and are left out, as is a
`response_format` without a schema; there is no way to forbid tools, so for `tool_choice` "none"
they are not offered, unless the conversation already used some: Bedrock wants to know those.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from llm_service.calls import (
    Call,
    Delta,
    Event,
    FinishReason,
    Message,
    Reply,
    Tool,
    ToolCall,
    Usage,
)
from llm_service.providers import blocks
from llm_service.providers.blocks import Gathered, call_of, reason_of
from llm_service.providers.failures import failure, of_name
from llm_service.providers.wire import arguments_object, read

REASONS: dict[str, FinishReason] = {
    **blocks.REASONS,
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
        said: dict[str, Any] = {"messages": blocks.turns(call.messages, _blocks)}
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
        schema = blocks.schema_of(call)
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
            call_of(used.toolUseId, used.name, used.input, self._name)
            for block in message.content
            if (used := block.toolUse) is not None
        ]
        texts = [block.text for block in message.content]
        reason = reason_of(REASONS, answer.stopReason, self._name)
        return blocks.reply_of(texts, calls, reason, _usage(answer.usage))

    def reader(self) -> BedrockReader:
        """See `Wire`."""
        return BedrockReader(self, self._name)


class BedrockReader:
    """Reads one event stream. Text goes out as it comes, tool calls once they are complete."""

    __slots__ = ("_frames", "_gathered", "_name", "_usage", "_wire", "done")

    def __init__(self, wire: BedrockWire, name: str) -> None:
        self._wire, self._name, self._frames = wire, name, wire.frames()
        self._gathered = Gathered()
        self._usage: _Usage | None = None
        self.done = False

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
        return self._gathered.end(_usage(self._usage), self._name)

    def _take(self, frame: Framed, events: list[Event]) -> None:
        self._gathered.began = True
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
                used = event.start.toolUse
                self._gathered.begin(index, ToolCall(used.toolUseId, used.name, "{}"))
            case "contentBlockStop":
                self._gathered.stop(index)
            case "messageStop":
                self._gathered.reason = reason_of(REASONS, event.stopReason, self._name)
            case "metadata":
                self._usage = event.usage
                self.done = self._gathered.reason is not None

    def _take_delta(self, index: int, delta: _Piece, events: list[Event]) -> None:
        if delta.text:
            events.append(Delta(delta.text))
        elif delta.toolUse is not None:
            self._gathered.add(index, delta.toolUse.input)


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        content = [{"text": message.content}] if message.content.strip() else []
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": content}}]
    text = message.content
    found: list[dict[str, Any]] = [{"text": text}] if text.strip() else []
    for call in message.tool_calls:
        asked = arguments_object(call.arguments)
        found.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": asked}})
    return found


def _inference(call: Call) -> list[tuple[str, Any]]:
    found = [
        ("maxTokens", call.max_tokens),
        ("temperature", blocks.temperature_of(call)),
        ("topP", call.top_p),
        ("stopSequences", blocks.stops_of(call) or None),
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


def _tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": tool.name,
        "inputSchema": {"json": blocks.parameters_of(tool)},
    }
    if tool.description:
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    return blocks.usage_of(
        usage.inputTokens,
        usage.outputTokens,
        usage.cacheReadInputTokens,
        usage.cacheWriteInputTokens,
    )
