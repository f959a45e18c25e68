"""OpenAI's chat completions: the format of OpenAI, vLLM, Ollama, Gemini's endpoint and many more.

https://platform.openai.com/docs/api-reference/chat/create, for streams
https://platform.openai.com/docs/api-reference/chat-streaming. What the compatible ones do
differently, and is put up with here:

- usage is missing (some servers): every count is zero. No real answer has a prompt of no tokens,
  so `usage.prompt == 0` says "not told";
- `finish_reason` is "stop" where tools are called, a call has an empty id or no index (Gemini,
  https://github.com/googleapis/python-genai/issues/2868): tool calls decide, ids are made up;
- `choices` is null in the last chunk (vLLM), `content` is a list of parts (Mistral);
- `max_completion_tokens` is ignored without a word (Ollama,
  https://github.com/ollama/ollama/issues/7125) while OpenAI's newer models refuse `max_tokens`: the
  provider's options say which to send.

A stream ends well once it gave a finish reason, with `[DONE]` or by its own end.
"""

from __future__ import annotations

import itertools
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
    Tool,
    ToolCall,
    Usage,
)
from llm_service.providers.failures import failure, of_name
from llm_service.providers.sse import Splitter, TooLong
from llm_service.providers.wire import decided, read, whole_calls

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class _Part(msgspec.Struct):
    text: str = ""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None


class _ChunkChoice(msgspec.Struct):
    delta: _Message | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Answer(msgspec.Struct):
    """A completion."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    error: Any = None


class _Chunk(msgspec.Struct):
    """A chunk of one."""

    choices: list[_ChunkChoice] | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    error: Any = None


_answers = msgspec.json.Decoder(_Answer)
_chunks = msgspec.json.Decoder(_Chunk)
_encoder = msgspec.json.Encoder()


class OpenAiWire:
    """The format, for the provider called `name`.

    `max_tokens_field` is "max_tokens" or "max_completion_tokens"; `omit` names fields that the
    provider refuses ("temperature" for models that reason); `stream_usage` asks for usage at the
    end of a stream.
    """

    def __init__(
        self,
        name: str,
        max_tokens_field: str = "max_tokens",
        omit: frozenset[str] = frozenset(),
        stream_usage: bool = True,
    ) -> None:
        self._name, self._max_tokens_field = name, max_tokens_field
        self._omit, self._stream_usage = omit, stream_usage
        self._numbers = itertools.count(1)

    def body(self, call: Call, stream: bool) -> bytes:
        """See `Wire`."""
        said: dict[str, Any] = {
            "model": call.model,
            "messages": [_message(message) for message in call.messages],
        }
        if stream:
            said["stream"] = True
            if self._stream_usage:
                said["stream_options"] = {"include_usage": True}
        self._add_parameters(said, call)
        for field in self._omit:
            said.pop(field, None)
        return _encoder.encode(said)

    def reply(self, body: bytes) -> Reply:
        """See `Wire`."""
        answer = read(_answers, body, self._name)
        if answer.error is not None:
            raise error_of(answer.error, self._name)
        if not answer.choices or (message := answer.choices[0].message) is None:
            raise failure("malformed", self._name)
        calls = [self.whole(call) for call in message.tool_calls or ()]
        reason = decided(self.reason(answer.choices[0].finish_reason), bool(calls))
        text = message.content if message.content is not None else message.refusal
        if text is None and reason == "stop":
            raise failure("malformed", self._name)
        return Reply(
            text=_text(text),
            finish_reason=reason,
            usage=_usage(answer.usage),
            tool_calls=whole_calls(calls, reason) if calls else (),
            fingerprint=answer.system_fingerprint or "",
        )

    def reader(self) -> OpenAiReader:
        """See `Wire`."""
        return OpenAiReader(self, self._name)

    def reason(self, word: str | None) -> FinishReason:
        """What `word` stands for; a word that nobody knows is no end of an answer."""
        if word is None:
            raise failure("malformed", self._name)
        found = REASONS.get(word)
        if found is None:
            if not word.startswith("content_filter"):
                raise failure("malformed", self._name)
            found = "content_filter"
        return found

    def whole(self, call: _ToolCall) -> ToolCall:
        """`call` with an id: one that the provider left out is made up, and used only once."""
        function = call.function or _Function()
        made_up = call.id or f"call_{next(self._numbers)}"
        return ToolCall(made_up, function.name or "", function.arguments or "{}")

    def _add_parameters(self, said: dict[str, Any], call: Call) -> None:
        if call.temperature is not None:
            said["temperature"] = call.temperature
        if call.top_p is not None:
            said["top_p"] = call.top_p
        if call.max_tokens is not None:
            said[self._limit(call)] = call.max_tokens
        if call.stop:
            said["stop"] = call.stop
        if call.seed is not None:
            said["seed"] = call.seed
        if call.response_format is not None:
            said["response_format"] = call.response_format
        if call.more is not None:
            said.update(call.more)
        if call.tools:
            _add_tools(said, call)
        elif call.prediction is not None:
            said["prediction"] = {"type": "content", "content": call.prediction}

    def _limit(self, call: Call) -> str:
        """The field for the most tokens: a prediction goes with the old one, and without tools.

        https://platform.openai.com/docs/guides/predicted-outputs#limitations
        """
        predicted = call.prediction is not None and not call.tools
        return "max_tokens" if predicted else self._max_tokens_field


class OpenAiReader:
    """Reads one stream of chunks. Text goes out as it comes, tool calls once they are complete."""

    __slots__ = (
        "_began",
        "_calls",
        "_fingerprint",
        "_name",
        "_reason",
        "_splitter",
        "_usage",
        "_wire",
        "done",
    )

    def __init__(self, wire: OpenAiWire, name: str) -> None:
        self._wire, self._name, self._splitter = wire, name, Splitter()
        self._reason: FinishReason | None = None
        self._usage: _Usage | None = None
        self._fingerprint = ""
        self._calls: list[_ToolCall] = []
        self._began = self.done = False

    def push(self, chunk: bytes) -> list[Event]:
        """See `Reader`."""
        try:
            found = self._splitter.push(chunk)
        except TooLong:
            raise failure("malformed", self._name) from None
        events: list[Event] = []
        for data in found:
            self._take(data, events)
        return events

    def end(self) -> list[Event]:
        """See `Reader`."""
        events: list[Event] = []
        try:
            for data in self._splitter.rest():
                self._take(data, events)
        except ProviderError as error:
            if error.kind != "malformed":
                raise
        if self._reason is None:
            raise failure("truncated" if self._began else "malformed", self._name)
        whole = [self._wire.whole(call) for call in self._calls]
        reason = decided(self._reason, bool(whole))
        events.extend(Delta(tool_call=call) for call in whole_calls(whole, reason))
        usage = _usage(self._usage)
        events.append(End(finish_reason=reason, usage=usage, fingerprint=self._fingerprint))
        return events

    def _take(self, data: bytes, events: list[Event]) -> None:
        self._began = True
        if self.done:
            return
        if data == b"[DONE]":
            self.done = True
            return
        chunk = read(_chunks, data, self._name)
        if chunk.error is not None:
            raise error_of(chunk.error, self._name)
        self._fingerprint = chunk.system_fingerprint or self._fingerprint
        if chunk.usage is not None:
            self._usage = chunk.usage
            self.done = self._reason is not None and not chunk.choices
        if chunk.choices:
            self._take_choice(chunk.choices[0], events)

    def _take_choice(self, choice: _ChunkChoice, events: list[Event]) -> None:
        delta = choice.delta
        if delta is not None:
            text = delta.content or delta.refusal
            if text and (text := _text(text)):
                events.append(Delta(text))
            if delta.tool_calls:
                for part in delta.tool_calls:
                    self._take_part(part)
        if choice.finish_reason is not None:
            self._reason = self._wire.reason(choice.finish_reason)

    def _take_part(self, part: _ToolCall) -> None:
        """Adds a piece of a tool call to the call it belongs to, or begins one."""
        found = self._begun(part)
        if found is None:
            index = len(self._calls) if part.index is None else part.index
            function = part.function or _Function()
            self._calls.append(_ToolCall(index, part.id, function))
            return
        assert found.function is not None
        if part.function is not None:
            found.function.name = found.function.name or part.function.name
            more = part.function.arguments or ""
            found.function.arguments = (found.function.arguments or "") + more

    def _begun(self, part: _ToolCall) -> _ToolCall | None:
        """The call that `part` goes on: by its index; without one, a name begins a new call."""
        if part.index is None:
            named = part.function is not None and part.function.name
            return None if named or not self._calls else self._calls[-1]
        return next((call for call in self._calls if call.index == part.index), None)


def error_of(error: Any, name: str) -> ProviderError:
    """The error in an answer: OpenAI's object, or whatever a compatible server sends instead."""
    if isinstance(error, dict):
        text = str(error.get("message", ""))
        return of_name(name, error.get("code"), error.get("type"), text=text)
    return of_name(name)


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def _add_tools(said: dict[str, Any], call: Call) -> None:
    said["tools"] = [{"type": "function", "function": _function(tool)} for tool in call.tools]
    if call.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = call.parallel_tool_calls
    choice = call.tool_choice
    if choice in ("auto", "none", "required"):
        said["tool_choice"] = choice
    elif choice is not None:
        said["tool_choice"] = {"type": "function", "function": {"name": choice}}


def _function(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }
    if tool.strict is not None:
        found["strict"] = tool.strict
    return found


def _text(content: str | list[_Part] | None) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details else None
    return Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached or 0)
