"""Refusals in OpenAI's words: status 429, and an error object whose `type` says what ran out.

https://platform.openai.com/docs/guides/error-codes and /docs/guides/rate-limits
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from llm_service.errors import ApiError

ROUNDING = 1e-3
"""What a clock's float may be off by, before it is rounded up."""


class Limited(ApiError):
    """429 with the headers that say when to come back."""

    def __init__(self, message: str, type_: str, code: str, headers: Mapping[str, str]) -> None:
        super().__init__(429, message, code=code, headers=headers)
        self.type = type_


def too_fast(kind: str, limit: int, seconds: float, headers: Mapping[str, str]) -> Limited:
    """429: `limit` `kind` ("requests", "tokens") per minute are used up for `seconds`."""
    return Limited(
        f"The limit of {limit} {kind} per minute is reached: try again in {duration(seconds)}.",
        kind,
        "rate_limit_exceeded",
        {"retry-after": str(max(1, math.ceil(seconds))), **headers},
    )


def too_large(limit: int, asked: int, headers: Mapping[str, str]) -> Limited:
    """429: one request alone is more than a minute's tokens; waiting does not help."""
    return Limited(
        f"The request needs about {asked} tokens, and the limit is {limit} tokens per minute: "
        "send a shorter one.",
        "tokens",
        "rate_limit_exceeded",
        headers,
    )


def no_money(subject: str, seconds: float) -> Limited:
    """429: the day's budget of `subject` is spent; the next day begins in `seconds`."""
    return Limited(
        f"The budget of {subject} for today (UTC) is spent: raise it or try again tomorrow.",
        "insufficient_quota",
        "insufficient_quota",
        {"retry-after": str(max(1, math.ceil(seconds)))},
    )


def duration(seconds: float) -> str:
    """`seconds` as OpenAI's reset headers write them: 17ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000 - ROUNDING)}ms"
    minutes, rest = divmod(math.ceil(seconds * 100 - ROUNDING), 6000)
    text = f"{rest // 100}" if rest % 100 == 0 else f"{rest / 100:.2f}".rstrip("0")
    return f"{minutes}m{text}s" if minutes else f"{text}s"
