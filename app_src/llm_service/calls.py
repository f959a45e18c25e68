"""What passes between a chat and the providers that answer it: one vocabulary for all of them.

A `Call` is what a provider is asked, a `Reply` what it says; a stream is `Delta`s and one `End`.
Nothing in here knows a wire format. What goes wrong is a `ProviderError`, whose words never come
from the provider: its own may quote keys and prompts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ToolCall(msgspec.Struct, frozen=True):
    """A function that the model wants called; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True):
    """One message. `tool_calls` are an assistant's, `tool_call_id` says what a tool answers."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function offered to the model; `parameters` is a JSON Schema. `strict` has the arguments
    keep to it, for APIs that can."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is asked. None leaves a parameter to the provider.

    `tool_choice` is "auto", "none", "required" or the name of one of `tools`.
    `parallel_tool_calls` False: one function at a time. `prediction` is a draft of the answer, for
    APIs that take one (OpenAI's field); `more` holds parameters that only OpenAI's kind has, by
    their names there.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    prediction: str | None = None
    parallel_tool_calls: bool | None = None
    more: dict[str, Any] | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens read, written, and read from the provider's own prompt cache (part of `prompt`)."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said. `fingerprint` is its own version string, empty if it tells none.

    `sources` only from a provider that finds its passages itself (the embedded one): hits of
    `llm_service.library`, best first.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()
    fingerprint: str = ""
    sources: tuple[Any, ...] = ()


class Delta(msgspec.Struct, frozen=True):
    """A piece of a streamed answer: text, or a tool call that is now complete."""

    text: str = ""
    tool_call: ToolCall | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stream that came through; a stream without one was cut."""

    finish_reason: FinishReason
    usage: Usage
    fingerprint: str = ""
    sources: tuple[Any, ...] = ()


Event = Delta | End

Kind = Literal[
    "rate_limited",  # 429: try again later, or elsewhere
    "overloaded",  # 5xx, 529
    "unreachable",  # no connection, or one that was lost before an answer
    "timed_out",  # no answer in the time there was
    "malformed",  # an answer that is none: no JSON, no choice, an HTML page
    "truncated",  # a stream or a body that ended before its end
    "refused",  # 400, 404, 422: this request, at this provider
    "unauthorized",  # 401, 403: the service's own key is wrong or may not
    "too_long",  # the context window is exceeded
    "open",  # the breaker did not let the call through
]


class ProviderError(Exception):
    """A provider did not answer. `str()` is one sentence of ours, fit for a client and a log."""

    def __init__(
        self, kind: Kind, sentence: str, *, status: int = 0, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.kind, self.status, self.retry_after = kind, status, retry_after


class Provider(Protocol):
    """One provider, as configured; serves all requests of a process.

    Cancelling the task that awaits, or closing the generator, ends the provider's call at once.
    """

    async def complete(self, call: Call, seconds: float) -> Reply:
        """The answer, within `seconds`. Raises ProviderError."""
        ...

    def stream(self, call: Call, seconds: float) -> AsyncGenerator[Event, None]:
        """The answer piece by piece: Deltas, then one End. `seconds` is for the whole of it.

        Raises ProviderError, `truncated` where the stream ends without an end.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
