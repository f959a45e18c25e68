"""What was found out about bodies that came before, for features that give answers again.

A question that is asked again comes in the same bytes more often than not. What reading them takes
(parsing, the look for an injection, for personal data, the cache's key) is most of what an answer
from the cache costs, and depends on nothing but the bytes and on whose request it is.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from llm_service.cache import CacheKey
from llm_service.calls import Message
from llm_service.chat.wire import ChatRequest

MOST = 256
LONGEST = 8_192
"""Bytes of a body that is remembered: with what it was parsed to some 5 MB in all."""

Scope = tuple[object, ...]
"""Whatever a key depends on beside the body."""


@dataclass(frozen=True, slots=True)
class Known:
    """A body as it was read; `key` is that of a request in `scope`."""

    request: ChatRequest
    messages: tuple[Message, ...]
    injection: bool
    scope: Scope
    key: CacheKey


class KnownBodies:
    """The MOST bodies that came last."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def get(self, body: bytes) -> Known | None:
        """What is known of `body`."""
        found = self._known.get(body)
        if found is not None:
            self._known.move_to_end(body)
        return found

    def put(self, body: bytes, known: Known) -> None:
        """Remembers `body`, unless it is long."""
        if len(body) > LONGEST:
            return
        self._known[body] = known
        if len(self._known) > MOST:
            self._known.popitem(last=False)
