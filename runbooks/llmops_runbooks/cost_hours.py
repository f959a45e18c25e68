"""How many hours of a week some tasks run, from the weekly crons that start and stop them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
WEEK_MINUTES = 7 * 24 * 60
WEEKLY = re.compile(r"^cron\((\d+) (\d+) \? \* (\S+) \*\)$")


def capacity(actions: Sequence[Mapping[str, Any]], minimum: float) -> tuple[float, float]:
    """The average minimum capacity over a week, and the hours in which it is not zero.

    `actions` are the ScheduledActions of a scalable target; without any, or with one that is no
    weekly cron, `minimum` counts the whole week.
    """
    changes = [found for action in actions for found in _changes(action)]
    if not changes or any(at is None for at, _ in changes):
        return minimum, WEEK_MINUTES / 60 if minimum else 0.0
    ordered = sorted((at, to) for at, to in changes if at is not None)
    ends = [at for at, _ in ordered[1:]] + [ordered[0][0] + WEEK_MINUTES]
    spans = [(end - at, to) for (at, to), end in zip(ordered, ends, strict=True)]
    average = sum(minutes * to for minutes, to in spans) / WEEK_MINUTES
    return average, sum(minutes for minutes, to in spans if to) / 60


def _changes(action: Mapping[str, Any]) -> list[tuple[int | None, float]]:
    """When in the week, in minutes, the capacity becomes what; None: nobody can tell."""
    to = float(action.get("ScalableTargetAction", {}).get("MinCapacity", 0))
    found = WEEKLY.match(str(action.get("Schedule", "")))
    if found is None:
        return [(None, to)]
    minute, hour, days = int(found[1]), int(found[2]), _days(found[3])
    return [((day * 24 + hour) * 60 + minute, to) for day in days]


def _days(text: str) -> list[int]:
    """`MON-FRI`, `SAT,SUN`, `?`- and `*`-like every day; Sunday is 0."""
    if text == "*":
        return list(range(7))
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = DAYS.index(first), DAYS.index(last or first)
        found += [day % 7 for day in range(low, high + 1 if high >= low else high + 8)]
    return found
