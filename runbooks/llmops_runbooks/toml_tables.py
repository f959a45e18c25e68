"""TOML files as nested tables: read, laid over each other, and searched for the line of a key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from llmops_runbooks.errors import SettingsError

HEADER = re.compile(r"\s*\[+\s*([^\]#]+?)\s*\]+")
KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


def read(path: Path) -> dict[str, Any]:
    """The file's tables; raises SettingsError, with the line, if it is not TOML."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}.") from error


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables; where both say something, `above` holds, key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def line_of(text: str, keys: Collection[str]) -> int | None:
    """The last line that sets one of the dotted `keys`; None if none does in a plain way."""
    table, found = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        header = HEADER.match(line)
        key = KEY.match(line)
        if header:
            table = _plain(header[1]) + "."
        if (key and table + _plain(key[1]) in keys) or (header and table[:-1] in keys):
            found = number
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)
