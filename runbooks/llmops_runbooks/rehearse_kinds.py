"""The kinds of release a rehearsal knows: bad ones, good ones, and one during a shared outage.

Each is a release of the bundled service in `releases/rehearsal/<name>`, with a real cause: code
that fails, a slower model, more passages to read. Eight bad ones pass the golden set, which asks
plain questions one at a time, and must be found out in production; the ninth must not get there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llmops_runbooks.errors import UsageError

Expected = Literal["rolled_back", "promoted"]


@dataclass(frozen=True)
class Outage:
    """What the provider that both arms share does during a rollout, in virtual minutes.

    failing: the share of calls answered 503. slower: the factor on the time of the others.
    after: minutes from the canary's first traffic to its beginning. lasts: minutes.
    """

    failing: float = 0.25
    slower: float = 6.0
    after: float = 4.0
    lasts: float = 10.0


@dataclass(frozen=True)
class Kind:
    """One kind of release.

    name: also its folder in `releases/rehearsal`.
    line: what is the matter with it.
    metrics: those that may decide a rollback, or GOLDEN; empty where nothing should.
    as_base: it behaves as the baseline, so that the next kind may be compared with it.
    """

    name: str
    line: str
    expected: Expected = "rolled_back"
    metrics: tuple[str, ...] = ()
    as_base: bool = False
    outage: Outage | None = None

    @property
    def version(self) -> str:
        """The version of its release."""
        return f"1.0.1-{self.name}"


GOLDEN = "golden set"
"""What decides on a release that no user is to see."""

BASE = "1.0.0-paced"
"""The release that all kinds are compared with: 1.0.0, answering through the provider."""

KINDS = (
    Kind(
        "errors", "HTTP 500 for one message in seventeen, those with an aside", metrics=("errors",)
    ),
    Kind("slow-p99", "one answer in 12 takes eight times as long", metrics=("latency",)),
    Kind("slow", "every answer takes 60 % longer", metrics=("latency",)),
    Kind("worse", "long messages are misread: wrong answers at HTTP 200", metrics=("quality",)),
    Kind("tokens", "three times the tokens for the same answers", metrics=("cost", "tokens")),
    Kind("empty", "an empty answer to one message in ten, the longest", metrics=("quality",)),
    Kind(
        "bad-share",
        "one in seven gets the answer to somebody else's question",
        metrics=("quality",),
    ),
    Kind("late", "fine at first, then HTTP 500 for one message in ten", metrics=("errors",)),
    Kind("terse", "every answer breaks off after eight words", metrics=(GOLDEN,)),
    Kind("identical", "the same again", "promoted", as_base=True),
    Kind(
        "outage",
        "the same again, while the shared provider has an outage",
        "promoted",
        as_base=True,
        outage=Outage(),
    ),
    Kind("faster", "every answer takes 40 % less time", "promoted"),
    Kind("better", "right where the baseline misreads, and reads less", "promoted"),
)


def chosen(names: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds of these names, in the order of the table. Raises UsageError for another name."""
    known = {kind.name for kind in KINDS}
    strange = next((name for name in names if name not in known), None)
    if strange is not None:
        listed = ", ".join(kind.name for kind in KINDS)
        raise UsageError(f"There is no kind of release '{strange}' (there are: {listed}).")
    return tuple(kind for kind in KINDS if kind.name in names)
