"""Sampling parameters that a model refuses: found out once, then left out for that model.

OpenAI's models that reason take no `temperature` ("Unsupported value: 'temperature' does not
support 0.2 with this model"), Anthropic's newer ones neither that nor `top_p` ("`temperature` is
deprecated for this model",
https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-7), others not both at
once. Which models do is known to the provider alone and changes; a client that sends a temperature
should not be refused for it, so the request is repeated without, once for each model.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from llm_service.calls import Call

Field = Literal["temperature", "top_p", "seed"]

_REFUSED = re.compile(
    rb"deprecated|unsupported|not supported|not support|not permitted|cannot both|unrecognized",
    re.IGNORECASE,
)
_NAMES: tuple[tuple[Field, re.Pattern[bytes]], ...] = (
    ("top_p", re.compile(rb"\btop_?p\b", re.IGNORECASE)),
    ("temperature", re.compile(rb"\btemperature\b")),
    ("seed", re.compile(rb"\bseed\b")),
)


class Sampling:
    """What each model is known to refuse."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        self._refused: dict[str, set[str]] = {}

    def fitted(self, call: Call) -> Call:
        """`call` without what its model refuses."""
        refused = self._refused.get(call.model)
        return _without(call, refused) if refused else call

    def learn(self, call: Call, body: bytes) -> bool:
        """Whether `body`, the answer to `call` with status 400, refuses a parameter it had.

        Of two that are named together one stays: models that take either mind only both at once.
        """
        if not _REFUSED.search(body):
            return False
        for name, pattern in _NAMES:
            if getattr(call, name) is not None and pattern.search(body):
                self._refused.setdefault(call.model, set()).add(name)
                return True
        for other in call.more or ():
            if other.encode() in body:
                self._refused.setdefault(call.model, set()).add(other)
                return True
        return False


def _without(call: Call, refused: set[str]) -> Call:
    """`call` without the parameters of these names."""
    fields: dict[str, Any] = {name: None for name, _ in _NAMES if name in refused}
    if call.more is not None:
        kept = {name: value for name, value in call.more.items() if name not in refused}
        fields["more"] = kept or None
    return msgspec.structs.replace(call, **fields)
