"""One chat while it is being answered: everything that is known of it so far.

Each step of the flow fills in its part; whatever happens, recording reads what is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Literal

import msgspec

from llm_service.auth import ANONYMOUS, Principal
from llm_service.bundle import Feature
from llm_service.cache import CacheKey, SourceRow
from llm_service.calls import Call, FinishReason, Message, ToolCall, Usage
from llm_service.chat.wire import ChatRequest
from llm_service.deadline import Deadline
from llm_service.library import Hit
from llm_service.limits import Admission
from llm_service.routing import Attempt, Target
from llm_service.telemetry import ToolUse

PATH = "/v1/chat/completions"
DIRECT = "llm_service.direct"
"""The extension of ASGI that `protocol.Direct` is."""
CANCELLED = 499
"""The status that is recorded where the client hung up; nobody is sent it."""


ATTEMPTS: ContextVar[list[Attempt]] = ContextVar("attempts", default=[])  # noqa: B039 - nobody's
"""Where the calls of providers are written down that are made for the chat of this task."""


class FeatureCall(Call, frozen=True, kw_only=True):
    """A call with the feature it is for: the embedded answerer takes its prompt and how much it
    reads and quotes from there."""

    feature: Feature


class Chat(msgspec.Struct, kw_only=True):
    """A chat; moments are time.perf_counter(), `created` epoch seconds.

    `label` is the feature's name in metrics, `status` the HTTP status (of a stream that was cut:
    the one its error would have had), `first` when the first piece of the answer could be sent.
    `hits` None: nothing was looked up.
    """

    id: str
    request_id: str
    headers: Mapping[str, str]
    began: float = msgspec.field(default_factory=time.perf_counter)
    created: int = msgspec.field(default_factory=lambda: int(time.time()))
    principal: Principal = ANONYMOUS
    label: str = "default"
    status: int = 500

    request: ChatRequest | None = None
    feature: Feature | None = None
    experiment: str = ""
    variant: str = ""
    subject: str = ""
    targets: Sequence[Target] = ()
    admission: Admission | None = None
    deadline: Deadline | None = None
    messages: tuple[Message, ...] = ()
    cache_key: CacheKey | None = None
    over_budget: bool = False
    injection: bool | None = None
    redactions: dict[str, int] = {}

    answered: bool = False
    first: float | None = None
    target: Target | None = None
    text: str = ""
    finish_reason: FinishReason = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    fingerprint: str = ""
    hits: list[Hit] | None = None
    supported: bool | None = None
    refused: bool = False
    guarded: bool = False
    sources: Sequence[SourceRow] = ()
    cached: Literal["miss", "exact", "semantic"] | None = None
    attempts: list[Attempt] = []
    tools_used: list[ToolUse] = []

    @property
    def stream(self) -> bool:
        """Whether the answer is streamed."""
        return self.request is not None and bool(self.request.stream)

    def redacted(self, found: Mapping[str, int]) -> None:
        """Counts personal data that was replaced, by its kind."""
        for kind, pieces in found.items():
            self.redactions[kind] = self.redactions.get(kind, 0) + pieces

    def used(self, usage: Usage) -> None:
        """Adds the tokens of one call of a provider."""
        self.usage = Usage(
            self.usage.prompt + usage.prompt,
            self.usage.completion + usage.completion,
            self.usage.cached + usage.cached,
        )
