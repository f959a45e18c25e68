"""How settings are read from environment variables: one sentence for every mistake.

Each room of the service reads its own variables with these, and lists them in its docstring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

Environ = Mapping[str, str]


class SettingsError(Exception):
    """One sentence for whoever starts the service: what is wrong and what to do."""


def number(environ: Environ, key: str, default: float, high: float, low: float = 0.0) -> float:
    """The number in `key`, from `low` to `high`. Raises SettingsError."""
    text = environ.get(key, "").strip() or str(default)
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not low <= found <= high:
        raise SettingsError(f"{key} is {text!r}: set it to a number from {low:g} to {high:g}.")
    return found


def whole(environ: Environ, key: str, default: int, low: int, high: int) -> int:
    """The whole number in `key`, from `low` to `high`. Raises SettingsError."""
    text = environ.get(key, "").strip() or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(f"{key} is {text!r}: set it to a whole number from {low} to {high}.")
    return int(text)


def switch(environ: Environ, key: str, default: bool) -> bool:
    """Whether `key` says yes: 1, true, yes, on; or 0, false, no, off. Raises SettingsError."""
    text = environ.get(key, "").strip().lower()
    if not text:
        return default
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{key} is {text!r}: set it to true or false.")
