"""Names that others choose and metrics carry: few and harmless, whatever is sent."""

from __future__ import annotations

import re

from llm_service.safety import redact

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST = 20
"""Distinct names of one process: each is a metric that CloudWatch charges for every month."""
ABSENT, REST = "default", "other"


class Names:
    """The first `most` names that were used; any further one is `other`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, given: object, *, learn: bool = True) -> str:
        """The name to publish for what a caller gave; `default` for nothing, nothing usable, or
        personal data."""
        if not isinstance(given, str) or not SAFE.fullmatch(given):
            return ABSENT
        if given in self._known:
            return given
        if not learn or len(self._known) >= self._most:
            return REST
        if redact(given).found:
            return ABSENT
        self._known.add(given)
        return given
