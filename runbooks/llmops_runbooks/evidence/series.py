"""What each arm showed in each minute, with its uncertainty, and how the evidence grew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmops_judge import Policy, PolicyError
from llmops_judge.intervals import interval as figures_of
from llmops_judge.observations import Sample
from llmops_judge.policy import Metric
from llmops_runbooks.moments import seconds

Json = Mapping[str, Any]
ARMS = ("baseline", "canary")
FAMILY = "family"


def policy_of(evidence: Json) -> Policy | None:
    """The policy it was judged by; None if there is none, or none that can still be read."""
    try:
        return Policy.from_settings(evidence["policy"]) if evidence["policy"] else None
    except PolicyError:
        return None


def seen(evidence: Json) -> list[Metric]:
    """The metrics that at least one arm reported, those that decide first."""
    policy = policy_of(evidence)
    reported = {
        name
        for interval in evidence["intervals"]
        for arm in ARMS
        for name, counts in interval[arm]["counts"].items()
        if counts
    }
    metrics = [metric for metric in policy.metrics if metric.name in reported] if policy else []
    return sorted(metrics, key=lambda metric: not metric.gates)


def minutes(evidence: Json, metric: Metric) -> list[dict[str, Any]]:
    """A point per arm and interval: middle of the interval `t` (milliseconds since the epoch).

    `v`, `lo` and `hi` are null where the arm showed nothing: a gap, never a zero.
    """
    return [_point(interval, arm, metric) for interval in evidence["intervals"] for arm in ARMS]


def _point(interval: Json, arm: str, metric: Metric) -> dict[str, Any]:
    counts = Sample.from_json(interval[arm]).counts.get(metric.name, {})
    shown = figures_of(metric, counts)
    middle = milliseconds(interval["start"]) + 500 * interval.get("seconds", 60)
    return {
        "t": middle,
        "arm": arm,
        "v": shown.value,
        "lo": shown.low,
        "hi": shown.high,
        "n": shown.n,
    }


def paths(evidence: Json, side: str) -> list[dict[str, Any]]:
    """The evidence of every metric at each verdict; side: `against` or `for`.

    The family comes first, then the metrics that decide, then those that are watched.
    """
    told = [call for call in evidence["calls"] if call["verdict"] and call["at"]]
    metrics = list(dict.fromkeys(_names(told)))
    lines = [_line(told, name, side) for name in metrics]
    lines.sort(key=lambda line: line["mode"] != "rollback")
    return [*_family(told), *lines] if side == "against" else lines


def _names(calls: Sequence[Json]) -> Iterator[str]:
    return (metric["metric"] for call in calls for metric in call["verdict"]["metrics"])


def _line(calls: Sequence[Json], name: str, side: str) -> dict[str, Any]:
    found = [
        (call["at"], metric)
        for call in calls
        for metric in call["verdict"]["metrics"]
        if metric["metric"] == name
    ]
    last = found[-1][1]
    points = [{"t": milliseconds(at), "v": metric[side]["value"]} for at, metric in found]
    return {"name": name, "mode": last["mode"], "bound": last[side]["bound"], "points": points}


def _family(calls: Sequence[Json]) -> Iterator[dict[str, Any]]:
    points = [
        {"t": milliseconds(call["at"]), "v": call["verdict"]["family"]["value"]} for call in calls
    ]
    if points:
        bound = calls[-1]["verdict"]["family"]["bound"]
        yield {"name": FAMILY, "mode": "rollback", "bound": bound, "points": points}


def milliseconds(at: str) -> float:
    """Milliseconds since the epoch."""
    return round(1000 * seconds(at))
