"""Times as they are stored: ISO 8601 in UTC, whatever the source gave."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE = 60


def parse(at: datetime | str) -> datetime:
    """A moment; one without a zone is UTC."""
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def iso(at: datetime | str | None) -> str | None:
    """ISO 8601 in UTC, or None."""
    return None if at is None else parse(at).isoformat()


def seconds(at: str) -> float:
    """Epoch seconds."""
    return parse(at).timestamp()
