"""What every wire format has: a body to send, an answer to read, a stream to read.

A wire format is pure: bytes in, bytes out, nothing of connections. Whatever it cannot read is a
`ProviderError` of kind `malformed`; an answer that is an error says so with the error's own kind.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

from llm_service.calls import Call, Event, FinishReason, Reply, ToolCall
from llm_service.providers.failures import failure

T = TypeVar("T")


class Reader(Protocol):
    """Reads one stream."""

    done: bool
    """Whether the answer is whole: what may still come is of no interest."""

    def push(self, chunk: bytes) -> list[Event]:
        """The Deltas that `chunk` completes. Raises ProviderError."""
        ...

    def end(self) -> list[Event]:
        """What remained, and the End.

        Raises ProviderError: `truncated` without an end, `malformed` if nothing was an event.
        """
        ...


class Wire(Protocol):
    """One provider's format."""

    def body(self, call: Call, stream: bool) -> bytes:
        """The body that asks `call`."""
        ...

    def reply(self, body: bytes) -> Reply:
        """The answer in the body of a 200. Raises ProviderError."""
        ...

    def reader(self) -> Reader:
        """A reader for one stream."""
        ...


def read(decoder: msgspec.json.Decoder[T], data: bytes, name: str) -> T:
    """What `data` holds. Raises ProviderError, which does not quote it."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise failure("malformed", name) from None


def arguments_object(text: str) -> dict[str, Any]:
    """A tool call's arguments as the object they should be; empty if they are none."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def decided(reason: FinishReason, calls: bool) -> FinishReason:
    """What an answer ended with: one that calls tools and just stops ended to call them."""
    return "tool_calls" if calls and reason == "stop" else reason


def whole_calls(calls: list[ToolCall], reason: FinishReason) -> tuple[ToolCall, ...]:
    """The calls that can be made: of an answer cut by its length the last may be half a call."""
    if reason == "content_filter":
        return ()
    if reason == "length":
        return tuple(call for call in calls if is_object(call.arguments))
    return tuple(calls)


def is_object(text: str) -> bool:
    """Whether `text` is a JSON object."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
