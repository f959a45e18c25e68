"""One request as it ended: the only thing that every sink of telemetry is told.

Texts in an exchange are redacted before it is made; users and conversations are hashes. Moments
`began`, `first` and `ended` are time.perf_counter(); `at` is epoch seconds when it ended, and the
two together tell when everything else happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from llm_service.calls import Message, Usage

Cached = Literal["miss", "exact", "semantic"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider. `error` is the kind of its ProviderError, empty if it answered."""

    provider: str
    model: str
    began: float
    ended: float
    error: str = ""


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """One function that the service executed for the model."""

    name: str
    call_id: str
    began: float
    ended: float
    failed: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request. `answered` says whether the fields of an answer mean anything.

    `cost` is micro-dollars, None where the model has no price. `cached` is None where no cache was
    asked. `injection` is None where nothing was looked at. `subject` is what the experiment split
    by, hashed. `log` False keeps the text from the conversation log, whatever is configured.
    `traceparent` and `amzn_trace` are the request's headers as they came.
    """

    request_id: str
    path: str
    status: int
    began: float
    ended: float
    at: float
    feature: str = "default"
    stream: bool = False
    guarded: bool = False
    injection: bool | None = None
    redactions: Mapping[str, int] = {}
    budget_events: int = 0
    traceparent: str = ""
    amzn_trace: str = ""

    experiment: str = ""
    variant: str = ""
    subject: str = ""

    answered: bool = False
    response_id: str = ""
    first: float | None = None
    provider: str = ""
    model: str = ""
    fingerprint: str = ""
    finish_reason: str = ""
    usage: Usage = Usage()
    cost: float | None = None
    refused: bool = False
    retrieved: bool = False
    cached: Cached | None = None
    attempts: tuple[Attempt, ...] = ()
    tools: tuple[ToolUse, ...] = ()

    temperature: float | None = None
    max_tokens: int | None = None
    user: str = ""
    session: str = ""
    messages: tuple[Message, ...] = ()
    answer: str = ""
    sources: tuple[str, ...] = ()
    log: bool = True

    @property
    def seconds(self) -> float:
        """From the first byte of the request to the last byte of the answer."""
        return self.ended - self.began

    @property
    def question(self) -> str:
        """What the user said last, redacted."""
        return next((each.content for each in reversed(self.messages) if each.role == "user"), "")

    def epoch(self, moment: float) -> float:
        """A moment of the monotonic clock in epoch seconds."""
        return self.at - (self.ended - moment)


class Thumb(msgspec.Struct, frozen=True, kw_only=True):
    """What a user thought of an answer; `comment` is redacted before."""

    response_id: str
    release: str
    up: bool
    comment: str = ""
    experiment: str = ""
    variant: str = ""
    subject: str = ""


def pseudonym(text: str, salt: str) -> str:
    """A user or a conversation as telemetry may know it: 16 hexadecimal digits that are the same
    for the same `salt`; empty for nobody."""
    if not text:
        return ""
    key = salt.encode()[:64]
    return hashlib.blake2b(text.encode(), digest_size=8, key=key).hexdigest()
