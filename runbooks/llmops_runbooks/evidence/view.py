"""What the page's script draws: per chart, its points and how its values are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_judge.policy import Metric
from llmops_runbooks import figures
from llmops_runbooks.evidence import sentence, series
from llmops_runbooks.evidence.series import milliseconds

Json = Mapping[str, Any]
COLOURS = 6
"""Colours that the style sheet has for metrics; a further one begins again."""
LEAST = 120_000
"""The shortest stretch of time a chart shows, in milliseconds."""


@dataclass(frozen=True)
class Panel:
    """A chart: its id on the page, and what the script needs to draw it."""

    id: str
    data: Json


def axis(evidence: Json) -> dict[str, Any]:
    """The time all charts share: from the first thing known to the last."""
    moments = list(_moments(evidence))
    first, last = min(moments, default=0), max(moments, default=0)
    decided = sentence.decided_at(evidence)
    return {
        "domain": [first, max(last, first + LEAST)],
        "decided": milliseconds(decided) if decided else None,
    }


def _moments(evidence: Json) -> Iterator[float]:
    about = evidence["deployment"]
    known = [about["started"], about["finished"]]
    known += [event["at"] for event in evidence["events"]]
    known += [point["at"] for point in evidence["weights"]]
    yield from (milliseconds(at) for at in known if at)
    for interval in evidence["intervals"]:
        start = milliseconds(interval["start"])
        yield from (start, start + 1000 * interval.get("seconds", 60))


def traffic(evidence: Json) -> Panel | None:
    """The canary's weight, the share it served, and the events on the same axis."""
    if not evidence["weights"] and not evidence["served"]:
        return None
    data = {
        "kind": "traffic",
        "set": [
            {"t": milliseconds(point["at"]), "v": point["canary"] / 100}
            for point in evidence["weights"]
        ],
        "served": [
            {
                "t": milliseconds(point["at"]) + 30_000,
                "v": point["canary"] / 100,
                "n": point["requests"],
            }
            for point in evidence["served"]
        ],
        "events": [
            {
                "t": milliseconds(event["at"]),
                "n": number,
                "kind": event["kind"],
                "text": f"{event['by']}: {event['text']}",
            }
            for number, event in enumerate(evidence["events"], 1)
        ],
    }
    return Panel("traffic", data)


def arms(evidence: Json, metrics: Sequence[Metric]) -> list[Panel]:
    """One chart per metric, both arms with their intervals."""
    return [
        Panel(
            f"arms-{metric.name}",
            {
                "kind": "arms",
                "format": figures.format_of(metric.statistic, metric.unit),
                "points": series.minutes(evidence, metric),
            },
        )
        for metric in metrics
    ]


def growth(evidence: Json, side: str) -> Panel | None:
    """The evidence of the family and every metric against the bound."""
    lines = series.paths(evidence, side)
    if not lines:
        return None
    coloured = [{**line, "colour": colour(lines, line)} for line in lines]
    return Panel(side, {"kind": "evidence", "bound": lines[0]["bound"], "lines": coloured})


def colour(lines: Sequence[Json], line: Json) -> str:
    """The style sheet's name of a line's colour."""
    if line["name"] == series.FAMILY:
        return "family"
    if line["mode"] != "rollback":
        return "watched"
    deciding = [
        each["name"]
        for each in lines
        if each["mode"] == "rollback" and each["name"] != series.FAMILY
    ]
    return f"metric-{deciding.index(line['name']) % COLOURS}"
