"""Who got the traffic: the weights that were set and the share that was served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from llmops_runbooks.moments import iso, parse
from llmops_runbooks.ports import Deployment

Json = Mapping[str, Any]

FINAL = {"SUCCESSFUL": 100.0, "ROLLBACK_SUCCESSFUL": 0.0}


def served(intervals: Sequence[Json]) -> list[dict[str, Any]]:
    """The canary's share of the requests of each interval that had any, in percent."""
    shares = []
    for interval in intervals:
        canary, baseline = (interval[arm]["requests"] for arm in ("canary", "baseline"))
        if canary + baseline:
            share = round(100 * canary / (canary + baseline), 2)
            shares.append(
                {"at": iso(interval["start"]), "canary": share, "requests": canary + baseline}
            )
    return shares


def weights(
    deployment: Deployment, calls: Sequence[Json], begin: str | None, journal: Sequence[Json]
) -> list[dict[str, Any]]:
    """The canary's weight in percent from each moment on, changes only.

    A watcher's journal saw the weights themselves. Without it they follow from the gate's calls:
    ECS shifts when the gate lets it, and the weight a call reports was set before it, at the
    latest when the first minute that was judged began.
    """
    seen = [_step(entry["at"], entry["weights"]["canary"]) for entry in journal if _weighs(entry)]
    points = seen or list(_from_calls(calls, begin))
    started = deployment.started_at or deployment.created_at
    if started:
        points.insert(0, _step(started, 0))
    points.sort(key=lambda point: parse(point["at"]))
    return list(_changes([*points, *_end(deployment)]))


def _weighs(entry: Json) -> bool:
    return bool(entry.get("at")) and "canary" in (entry.get("weights") or {})


def _from_calls(calls: Sequence[Json], begin: str | None) -> Iterator[dict[str, Any]]:
    timed = [call for call in calls if call.get("at")]
    for call in timed:
        weight = call["weights"]["canary"]
        at = min(parse(begin or call["at"]), parse(call["at"])) if weight else parse(call["at"])
        yield _step(at, weight)
    if timed and timed[-1]["weights"]["canary"]:
        ends = {"SUCCEEDED": 100, "FAILED": 0}
        status = timed[-1]["hook_status"]
        if status in ends:
            yield _step(timed[-1]["at"], ends[status])


def _end(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Back to 0 when a rollback began, and the weight at the end, if it has ended."""
    if deployment.rollback_started_at:
        yield _step(deployment.rollback_started_at, 0)
    finished = deployment.finished_at or deployment.stopped_at
    if finished and deployment.status in FINAL:
        yield _step(finished, FINAL[deployment.status])


def _changes(points: Iterable[Json]) -> Iterator[dict[str, Any]]:
    last = None
    for point in points:
        if point["canary"] != last:
            last = point["canary"]
            yield dict(point)


def _step(at: datetime | str, canary: float) -> dict[str, Any]:
    return {"at": iso(at), "canary": float(canary)}
