"""What OpenAI, Anthropic and Bedrock put on the wire for one answer, as pure functions.

Each format gives the body of a whole answer, the pieces of a streamed one, an error's body and an
error in a stream. The shapes are those of the official clients' own types; that the clients read
them is shown by tests.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MODEL = "fake-model"
PROMPT_TOKENS = 11
CACHED_TOKENS = 3


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says: words, or a call of a tool (name and JSON arguments)."""

    words: Sequence[str]
    tool: tuple[str, str] | None = None
    model: str = MODEL
    usage: bool = True
    finish: str | None = None
    """A finish reason in the format's own words, instead of the one that fits."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.words)


class Format(Protocol):
    """One provider's wire format."""

    stream_type: str
    """The content type of a stream."""

    def __hash__(self) -> int: ...

    def whole(self, said: Said) -> bytes:
        """The body of an answer that is not streamed."""
        ...

    def pieces(self, said: Said) -> list[bytes]:
        """A stream, event by event: the opening ones, one for each word, the closing ones."""
        ...

    def error(self, status: int, message: str, code: str) -> bytes:
        """The body of an answer with an error status."""
        ...

    def error_headers(self, code: str) -> Mapping[str, str]:
        """Headers that come with an error."""
        ...

    def error_piece(self, message: str, code: str) -> bytes:
        """An error in a stream."""
        ...

    def broken_piece(self, message: str) -> bytes:
        """An event of a stream that cannot be read."""
        ...

    def end_marks(self) -> tuple[bytes, ...]:
        """What only the events that end a stream hold."""
        ...


class OpenAi:
    """Chat completions: chunks, `[DONE]`."""

    stream_type = "text/event-stream; charset=utf-8"

    def whole(self, said: Said) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
        if said.tool:
            message |= {"content": None, "tool_calls": [self._call(said.tool)]}
        choice = {"index": 0, "message": message, "finish_reason": self._reason(said)}
        answer = self._head(said, "chat.completion") | {"choices": [choice]}
        if said.usage:
            answer["usage"] = self._usage(said)
        return json.dumps(answer).encode()

    def pieces(self, said: Said) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if said.tool:
            name, arguments = said.tool
            half = len(arguments) // 2
            first = {"index": 0} | self._call((name, ""))
            deltas.append({"tool_calls": [first]})
            for piece in (arguments[:half], arguments[half:]):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        else:
            deltas += [{"content": word} for word in said.words]
        pieces = [self._chunk(said, delta) for delta in deltas]
        pieces.append(self._chunk(said, {}, self._reason(said)))
        if said.usage:
            last = self._head(said, "chat.completion.chunk") | {"choices": []}
            pieces.append(_sse(last | {"usage": self._usage(said)}))
        return [*pieces, b"data: [DONE]\n\n"]

    def error(self, status: int, message: str, code: str) -> bytes:
        error = {"message": message, "type": "server_error", "param": None, "code": code or None}
        if status < 500:
            error["type"] = "invalid_request_error"
        return json.dumps({"error": error}).encode()

    def error_headers(self, code: str) -> Mapping[str, str]:
        return {}

    def error_piece(self, message: str, code: str) -> bytes:
        kind = code or "server_error"
        return _sse({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def broken_piece(self, message: str) -> bytes:
        return f'data: {{"id": "{message}", "choices": [{{"delta": {{"content": \n\n'.encode()

    def end_marks(self) -> tuple[bytes, ...]:
        return (b'"finish_reason": "', b'"choices": []', b"[DONE]")

    def _head(self, said: Said, kind: str) -> dict[str, Any]:
        head = {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": said.model}
        return head | {"system_fingerprint": "fp_fake"}

    def _chunk(self, said: Said, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _sse(self._head(said, "chat.completion.chunk") | {"choices": [choice]})

    def _call(self, tool: tuple[str, str]) -> dict[str, Any]:
        name, arguments = tool
        function = {"name": name, "arguments": arguments}
        return {"id": "call_1", "type": "function", "function": function}

    def _reason(self, said: Said) -> str:
        return said.finish or ("tool_calls" if said.tool else "stop")

    def _usage(self, said: Said) -> dict[str, Any]:
        written = len(said.words)
        return {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": written,
            "total_tokens": PROMPT_TOKENS + written,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        }


class Anthropic:
    """Messages: message_start to message_stop."""

    stream_type = "text/event-stream; charset=utf-8"

    def whole(self, said: Said) -> bytes:
        if said.tool:
            block = self._tool_use(said.tool[0], json.loads(said.tool[1]))
        else:
            block = {"type": "text", "text": said.text}
        return json.dumps(
            self._message(said)
            | {"content": [block], "stop_reason": self._reason(said)}
            | {"usage": self._usage(len(said.words))}
        ).encode()

    def pieces(self, said: Said) -> list[bytes]:
        start = {"message": self._message(said) | {"content": [], "usage": self._usage(1)}}
        block: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in said.words]
        if said.tool:
            block = self._tool_use(said.tool[0], {})
            half = len(said.tool[1]) // 2
            texts = ("", said.tool[1][:half], said.tool[1][half:])
            deltas = [{"type": "input_json_delta", "partial_json": text} for text in texts]
        end = {"stop_reason": self._reason(said), "stop_sequence": None}
        return [
            _named("message_start", start),
            _named("content_block_start", {"index": 0, "content_block": block}),
            _named("ping", {}),
            *[_named("content_block_delta", {"index": 0, "delta": delta}) for delta in deltas],
            _named("content_block_stop", {"index": 0}),
            _named("message_delta", {"delta": end, "usage": {"output_tokens": len(said.words)}}),
            _named("message_stop", {}),
        ]

    def error(self, status: int, message: str, code: str) -> bytes:
        kinds = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
        kind = code or kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()

    def error_headers(self, code: str) -> Mapping[str, str]:
        return {"request-id": "req_fake"}

    def error_piece(self, message: str, code: str) -> bytes:
        error = {"type": code or "overloaded_error", "message": message}
        return _named("error", {"error": error})

    def broken_piece(self, message: str) -> bytes:
        return f'event: content_block_delta\ndata: {{"type": "{message}\n\n'.encode()

    def end_marks(self) -> tuple[bytes, ...]:
        return (b'"message_delta"', b'"message_stop"')

    def _message(self, said: Said) -> dict[str, Any]:
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": said.model}
        return head | {"stop_reason": None, "stop_sequence": None}

    def _tool_use(self, name: str, asked: Any) -> dict[str, Any]:
        return {"type": "tool_use", "id": "toolu_1", "name": name, "input": asked}

    def _reason(self, said: Said) -> str:
        return said.finish or ("tool_use" if said.tool else "end_turn")

    def _usage(self, written: int) -> dict[str, int]:
        return {
            "input_tokens": PROMPT_TOKENS - CACHED_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": CACHED_TOKENS,
            "output_tokens": written,
        }


class Bedrock:
    """Converse and ConverseStream: JSON, and AWS's event stream."""

    stream_type = "application/vnd.amazon.eventstream"

    def whole(self, said: Said) -> bytes:
        block: dict[str, Any] = {"text": said.text}
        if said.tool:
            asked = {"input": json.loads(said.tool[1])}
            block = {"toolUse": {"toolUseId": "tooluse_1", "name": said.tool[0]} | asked}
        answer = {
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": self._reason(said),
            "metrics": {"latencyMs": 1},
            "usage": self._usage(said),
        }
        return json.dumps(answer).encode()

    def pieces(self, said: Said) -> list[bytes]:
        pieces = [frame("messageStart", {"role": "assistant"})]
        deltas: list[dict[str, Any]] = [{"text": word} for word in said.words]
        if said.tool:
            start = {"toolUse": {"toolUseId": "tooluse_1", "name": said.tool[0]}}
            pieces.append(frame("contentBlockStart", {"contentBlockIndex": 0, "start": start}))
            half = len(said.tool[1]) // 2
            texts = (said.tool[1][:half], said.tool[1][half:])
            deltas = [{"toolUse": {"input": text}} for text in texts]
        for delta in deltas:
            pieces.append(frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}))
        metadata = {"usage": self._usage(said), "metrics": {"latencyMs": 1}}
        return [
            *pieces,
            frame("contentBlockStop", {"contentBlockIndex": 0}),
            frame("messageStop", {"stopReason": self._reason(said)}),
            *([frame("metadata", metadata)] if said.usage else []),
        ]

    def error(self, status: int, message: str, code: str) -> bytes:
        return json.dumps({"message": message}).encode()

    def error_headers(self, code: str) -> Mapping[str, str]:
        return {"x-amzn-errortype": code or "InternalServerException"}

    def error_piece(self, message: str, code: str) -> bytes:
        kind = code or "throttlingException"
        return frame(kind, {"message": message}, message_type="exception")

    def broken_piece(self, message: str) -> bytes:
        whole = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": message}})
        return whole[:-1] + bytes([whole[-1] ^ 0xFF])

    def end_marks(self) -> tuple[bytes, ...]:
        return (b"messageStop", b"metadata")

    def _reason(self, said: Said) -> str:
        return said.finish or ("tool_use" if said.tool else "end_turn")

    def _usage(self, said: Said) -> dict[str, int]:
        written = len(said.words)
        return {
            "inputTokens": PROMPT_TOKENS - CACHED_TOKENS,
            "outputTokens": written,
            "totalTokens": PROMPT_TOKENS + written,
            "cacheReadInputTokens": CACHED_TOKENS,
        }


def frame(name: str, payload: Mapping[str, Any], message_type: str = "event") -> bytes:
    """One message of an event stream: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    headers = b"".join(
        struct.pack("!B", len(key)) + key + b"\x07" + struct.pack("!H", len(value)) + value
        for key, value in (
            (f":{message_type}-type".encode(), name.encode()),
            (b":content-type", b"application/json"),
            (b":message-type", message_type.encode()),
        )
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", len(headers) + len(body) + 16, len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + body
    return message + struct.pack("!I", crc32(message))


def _sse(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _named(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
