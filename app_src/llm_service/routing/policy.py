"""How often and how long a provider is tried, and what a failure means for the next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from llm_service.calls import Kind, ProviderError

OWN: Final[frozenset[Kind]] = frozenset({"refused", "too_long"})
"""The request's own fault: no mark for the provider, and what the client is told, whatever the
targets after it say."""

REPEATED: Final[frozenset[Kind]] = frozenset(
    {"rate_limited", "overloaded", "unreachable", "malformed", "truncated"}
)
"""Tried again at the same target. Not `timed_out` (the time is better spent at the next one), not
`unauthorized` (the key will be as wrong)."""


NOT_FOUND = 404


def final(error: ProviderError) -> bool:
    """Whether nobody else is asked. What one provider refuses, another must not be asked, since a
    refusal may be about what the request says; a model that is gone, or whose context window is
    too small, is about the model."""
    return error.kind == "refused" and error.status != NOT_FOUND


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in seconds. A target is tried `attempts_per_target` times, with pauses between.

    A stream's first event must come within `first_token_seconds`. With `hedge_after`, a call that
    has no answer after so long is raced by a second one, to the next target.
    A time-out counts against a provider only if it had `fair_seconds`: a client in a hurry must not
    close a provider for the others.
    """

    attempts_per_target: int = 3
    base_pause: float = 0.1
    max_pause: float = 2.0
    first_token_seconds: float = 20.0
    hedge_after: float | None = None
    fair_seconds: float = 1.0

    def pause(
        self, failed: int, retry_after: float | None, patience: float, random: Callable[[], float]
    ) -> float | None:
        """Seconds to wait after the `failed`th failure in a row, or None: too long to wait here.

        Full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): a
        random part of a bound that doubles. What the provider asks for (`retry_after`) is waited
        for first, if it is within `patience`.
        """
        asked = retry_after or 0.0
        jitter = random() * min(self.max_pause, self.base_pause * 2.0 ** (failed - 1))
        if asked > patience:
            return None
        return asked + jitter
