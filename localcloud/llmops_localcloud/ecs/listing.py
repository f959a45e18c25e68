"""Pages of the List calls: `maxResults` at a time, `nextToken` is where the next page begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_localcloud.ecs.errors import InvalidParameterException


def page(
    items: Sequence[Any], sent: Mapping[str, Any], key: str, *, default: int = 100
) -> dict[str, Any]:
    """The page `sent` asks for, as `{key: items}` with `nextToken` if there are more."""
    size = sent.get("maxResults", default)
    if not 1 <= size <= 100:
        raise InvalidParameterException("maxResults must be from 1 to 100.")
    token = sent.get("nextToken", "0")
    if not token.isdigit():
        raise InvalidParameterException("Invalid nextToken.")
    start = int(token)
    answer: dict[str, Any] = {key: list(items[start : start + size])}
    if start + size < len(items):
        answer["nextToken"] = str(start + size)
    return answer
