"""Whom a call goes to, and what became of each try."""

from __future__ import annotations

from typing import Literal, NamedTuple

from llm_service.calls import Kind


class Target(NamedTuple):
    """A model at a provider, written `provider/model`; just `provider` if it has only one."""

    provider: str
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target written as `text`. The model may hold slashes. Raises ValueError."""
        provider, slash, model = text.strip().partition("/")
        if not provider or (slash and not model):
            raise ValueError(f"{text!r} names no model: write it as provider/model.")
        return cls(provider, model)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" if self.model else self.provider


class Attempt(NamedTuple):
    """One call to one target: `started` is a moment of the router's clock, `seconds` its length.

    `outcome` is "ok", why it failed ("open": the breaker let no call through), or "cancelled": the
    client left, or another call was faster.
    """

    target: Target
    started: float
    seconds: float
    outcome: Kind | Literal["ok", "cancelled"]
