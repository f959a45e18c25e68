"""An experiment's outcomes, unit by unit, from the lines that the service wrote.

A line of the service's metrics (EMF, one JSON object) that belongs to an experiment carries its
name, the variant, and the hash of the unit that was drawn. Requests of one unit depend on each
other, so one unit is one outcome: the average over its requests in the first `window` after its
first. Only units whose window is over count; what came before is then final, and units enter in
the order in which they came, which the anytime-valid interval needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops_runbooks.experiment_definition import Definition

Means = Mapping[str, float]
"""Metric -> a unit's average."""


@dataclass
class Unit:
    """One unit: its variant, when it was first seen (epoch seconds), and what it added up to."""

    variant: str
    first: float
    requests: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Metric -> average over the unit's requests that have a value."""
        return {name: total / count for name, (total, count) in self.sums.items()}

    def add(self, values: Mapping[str, float]) -> None:
        """Adds one line's values."""
        for name, value in values.items():
            entry = self.sums.setdefault(name, [0.0, 0])
            entry[0] += value
            entry[1] += 1


@dataclass
class Log:
    """What the lines hold. open_units: whose window was not over at the last line.

    unknown: lines with a value that name no unit. moved: units that were seen in two variants.
    """

    units: list[Unit] = field(default_factory=list)
    open_units: int = 0
    unknown: int = 0
    moved: int = 0


def read(lines: Iterable[str], of: Definition, metrics: Mapping[str, str], *, window: float) -> Log:
    """The experiment's units. metrics: name in a line -> metric. window: seconds.

    Lines that are no JSON or of no such experiment are passed over.
    """
    reader = _Reader(of, metrics, window)
    for line in lines:
        reader.take(line)
    return reader.log()


class _Reader:
    def __init__(self, of: Definition, metrics: Mapping[str, str], window: float) -> None:
        self._of, self._metrics, self._window = of, metrics, window
        self._since = of.started.timestamp() if of.started else 0.0
        self._units: dict[str, Unit] = {}
        self._moved: set[str] = set()
        self._unknown = 0
        self._last = 0.0

    def take(self, line: str) -> None:
        found = _parsed(line)
        if found is None or found.get("experiment") != self._of.name:
            return
        at = found["_aws"]["Timestamp"] / 1000
        self._last = max(self._last, at)
        if at < self._since or found.get("variant") not in self._of.weights:
            return
        if found.get("subject"):
            self._count(str(found["subject"]), found, at)
        else:
            self._unknown += 1

    def _count(self, subject: str, found: Mapping[str, Any], at: float) -> None:
        exposed = "Exposures" in found
        unit = self._units.get(subject)
        if unit is None:
            if not exposed:
                return
            unit = self._units[subject] = Unit(found["variant"], at)
        if found["variant"] != unit.variant:
            self._moved.add(subject)
        elif at <= unit.first + self._window:
            unit.requests += exposed
            unit.add(dict(self._values(found)))

    def _values(self, found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
        for published, metric in self._metrics.items():
            value = found.get(published)
            if isinstance(value, int | float):
                yield metric, float(value)

    def log(self) -> Log:
        units = sorted(self._units.values(), key=lambda unit: unit.first)
        over = [unit for unit in units if unit.first + self._window <= self._last]
        return Log(over, len(units) - len(over), self._unknown, len(self._moved))


def _parsed(line: str) -> dict[str, Any] | None:
    """The line's object, if it is one of metrics."""
    if '"experiment"' not in line:
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    known = isinstance(found, dict) and isinstance(found.get("_aws"), dict)
    return found if known and "Timestamp" in found["_aws"] else None
