"""Time as AWS tells it: the Date header of its answers, so no clock of our own is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MINUTE = 60


def of_response(response: Mapping[str, Any]) -> int:
    """Epoch seconds of the Date header of a boto3 response (or of a ClientError's response)."""
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    return int(parsedate_to_datetime(headers["date"]).timestamp())


def iso(seconds: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def floor_minute(seconds: float) -> int:
    """The beginning of the minute."""
    return int(seconds // MINUTE) * MINUTE


def epoch(moment: str) -> int:
    """Epoch seconds of `iso`'s text."""
    return int(datetime.fromisoformat(moment).timestamp())


def ceil_minute(seconds: float) -> int:
    """The beginning of the first minute that did not begin before."""
    return -int(-seconds // MINUTE) * MINUTE
