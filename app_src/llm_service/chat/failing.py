"""What a client hears when no provider answered: a status and a sentence of ours."""

from __future__ import annotations

import math

from llm_service.calls import Kind, ProviderError
from llm_service.errors import ApiError

STATUS: dict[Kind, int] = {
    "rate_limited": 429,
    "timed_out": 504,
    "overloaded": 503,
    "unreachable": 503,
    "open": 503,
    "unauthorized": 503,
    "malformed": 502,
    "truncated": 502,
    "refused": 400,
    "too_long": 400,
}
"""502 where a provider answered and it was none, 503 where none answered: OpenAI's clients try
both again, as they do 429 and 504."""


def told(error: ProviderError) -> ApiError:
    """The failure as an API error; `code` is its kind."""
    status = STATUS[error.kind]
    code = "context_length_exceeded" if error.kind == "too_long" else error.kind
    after = error.retry_after
    headers = (
        {} if after is None or status < 429 else {"retry-after": str(max(1, math.ceil(after)))}
    )
    param = "messages" if error.kind == "too_long" else None
    return ApiError(status, str(error), code=code, param=param, headers=headers)
