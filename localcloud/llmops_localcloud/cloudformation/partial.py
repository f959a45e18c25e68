"""What a resource asks for that its type's emulation does not do, named for `/_llmops/unsupported`.

Each part of the local cloud says so of the types it makes: a function from a resource's properties
to the names of what is missing, e.g. `TLS` of a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Missing = Callable[[Mapping[str, Any]], list[str]]

_PARTIAL: dict[str, Missing] = {}


def add_partial(kind: str, missing: Missing) -> None:
    """Say what a type's emulation leaves out; one function per type."""
    _PARTIAL[kind] = missing


def missing(kind: str, properties: Mapping[str, Any]) -> list[str]:
    """What this resource asks for in vain, as `type: what`."""
    found = _PARTIAL.get(kind)
    return [f"{kind}: {what}" for what in found(properties)] if found else []
