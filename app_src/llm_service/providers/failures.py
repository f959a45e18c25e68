"""What went wrong at a provider, in our own words.

A provider's error may quote the prompt, the key or whatever it likes, so its text is looked at to
tell one kind of failure from another and never passed on: every sentence is made here. Callers
raise these with `from None` where the cause would show what the provider wrote.

Statuses and names, as the providers document them:
OpenAI https://platform.openai.com/docs/guides/error-codes,
Anthropic https://platform.claude.com/docs/en/api/errors,
Bedrock https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from llm_service.calls import Kind, ProviderError
from llm_service.http import Broken, HttpError, TimedOut

SENTENCES: Mapping[Kind, str] = {
    "rate_limited": "The provider {name} takes no more requests just now: try again later.",
    "overloaded": "The provider {name} failed or is overloaded: try again later.",
    "unreachable": "The provider {name} cannot be reached: try again later.",
    "timed_out": "The provider {name} did not answer in time: try again later.",
    "malformed": "The provider {name} sent an answer that is none: try again later.",
    "truncated": "The answer of the provider {name} ended before its end: ask again.",
    "refused": "The provider {name} refused this request: check the model and the parameters.",
    "unauthorized": "The provider {name} does not accept this service's key: "
    "whoever runs the service has to check it.",
    "too_long": "The conversation is too long for the model at the provider {name}: shorten it.",
    "open": "The provider {name} is left alone for a while: try again later.",
}
FILTERED = "The content filter of the provider {name} refused this request: word it differently."

STATUSES: Mapping[int, Kind] = {
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    408: "timed_out",
    409: "overloaded",
    413: "too_long",
    424: "overloaded",
    425: "overloaded",
    429: "rate_limited",
}

NAMES: Mapping[str, Kind] = {
    "context_length_exceeded": "too_long",
    "request_too_large": "too_long",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "throttlingexception": "rate_limited",
    "insufficient_quota": "unauthorized",
    "billing_error": "unauthorized",
    "authentication_error": "unauthorized",
    "invalid_api_key": "unauthorized",
    "permission_error": "unauthorized",
    "accessdeniedexception": "unauthorized",
    "overloaded_error": "overloaded",
    "server_error": "overloaded",
    "api_error": "overloaded",
    "internalserverexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "modelstreamerrorexception": "overloaded",
    "modelerrorexception": "overloaded",
    "modelnotreadyexception": "overloaded",
    "timeout_error": "timed_out",
    "modeltimeoutexception": "timed_out",
    "invalid_request_error": "refused",
    "not_found_error": "refused",
    "model_not_found": "refused",
    "validationexception": "refused",
}
"""Kinds by the `code` or `type` of an error, or by the name of an exception, in lower case."""

MOST_READ = 64 * 1024
"""Bytes of an error that are looked at."""

_TOO_LONG = re.compile(
    rb"context_length_exceeded|maximum context length|context window|prompt is too long"
    rb"|input is too long|too many input tokens|exceeds? the (?:maximum|available) context",
    re.IGNORECASE,
)
_FILTERED = re.compile(rb"content_filter|content_policy_violation")
_NO_QUOTA = re.compile(rb"insufficient_quota")


def failure(
    kind: Kind, name: str, status: int = 0, retry_after: float | None = None
) -> ProviderError:
    """The error of `kind` at the provider called `name`."""
    sentence = SENTENCES[kind].format(name=name)
    return ProviderError(kind, sentence, status=status, retry_after=retry_after)


def of_status(
    name: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    clock: Callable[[], float] = time.time,
) -> ProviderError:
    """The error that an answer other than 200 stands for; `headers` have lower-case names."""
    head = body[:MOST_READ]
    kind = _kind(status, head)
    if kind == "refused" and _FILTERED.search(head):
        return ProviderError(kind, FILTERED.format(name=name), status=status)
    return failure(kind, name, status, retry_after(headers, clock))


def _kind(status: int, body: bytes) -> Kind:
    if status in (400, 422) and _TOO_LONG.search(body):
        return "too_long"
    if status == 429 and _NO_QUOTA.search(body):
        return "unauthorized"
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return "overloaded"
    return "refused" if status >= 400 else "malformed"


def of_name(name: str, *words: object, text: str = "") -> ProviderError:
    """The error that a stream, or an answer with status 200, holds.

    `words` are its code and type: names, or a status as a number; the first one known counts.
    """
    if _TOO_LONG.search(text.encode()):
        return failure("too_long", name)
    for word in words:
        if isinstance(word, int) and not isinstance(word, bool) and 400 <= word < 600:
            return failure(_kind(word, b""), name, word)
        if isinstance(word, str) and word.lower() in NAMES:
            return failure(NAMES[word.lower()], name)
    return failure("overloaded", name)


def of_connection(name: str, error: HttpError) -> ProviderError:
    """The error that a failure of HTTP itself stands for."""
    if isinstance(error, TimedOut):
        return failure("timed_out", name)
    if isinstance(error, Broken):
        return failure("truncated" if error.cut else "malformed", name)
    return failure("unreachable", name)


def retry_after(headers: Mapping[str, str], clock: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, from `retry-after-ms` (OpenAI's) or `retry-after`: seconds or a date.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after. None if there is no readable one.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock())
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return max(0.0, found) if math.isfinite(found) else None
