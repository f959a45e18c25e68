"""How the stand-in of `provider_server.py` answers one request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

WORDS = tuple(f"{' ' if place else ''}word{place}" for place in range(12))
Then = Literal["cut", "reset", "hang", "error", "broken", "stop", "endless", "twice", "linger"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered; seconds, and `math.inf` for as long as the client stays.

    Without anything else: a whole answer of `words`, or a call of `tool`. `body` goes out as it is.

    `then` happens after so many words of a stream, or in the middle of a whole body; with `after`
    None, instead of any answer. cut: the connection is closed, with nothing that ends the answer.
    reset: the same by a reset. hang: silence. error: an error event, and an orderly end. broken: an
    event that cannot be read, and on with the answer. stop: an orderly end of HTTP in the middle.
    endless: words for ever. twice: the events that end the answer come twice. linger: all of the
    stream comes, but its HTTP never ends.
    """

    words: tuple[str, ...] = WORDS
    tool: tuple[str, str] | None = None
    usage: bool = True
    finish: str | None = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str | None = None
    message: str = "The provider's own words."
    code: str = ""
    before_head: float = 0.0
    before_first: float = 0.0
    gap: float = 0.0
    then: Then | None = None
    after: int | None = None
    end_marks: bool = True
    """False leaves out OpenAI's `[DONE]`, the last event of the others."""


OK = Behaviour()
BEHAVIOURS: Mapping[str, Behaviour] = {
    "rate-limited": Behaviour(status=429, headers=(("retry-after", "1"),)),
    "failing": Behaviour(status=500),
    "overloaded": Behaviour(status=529),
    "unavailable": Behaviour(status=503),
    "silent": Behaviour(before_head=math.inf),
    "cut": Behaviour(then="cut", after=3),
    "stalled": Behaviour(then="hang", after=3),
    "html": Behaviour(body=b"<html>Bad gateway</html>", content_type="text/html"),
    "tool": Behaviour(tool=("search_corpus", '{"query": "holidays"}')),
}
"""What a process does, by the model that is asked for."""
