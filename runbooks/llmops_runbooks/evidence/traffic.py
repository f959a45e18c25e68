"""Who got the traffic: the weights that were set and the share that was served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmops_runbooks.evidence.moments import iso, parse

Json = Mapping[str, Any]

FINAL = {"SUCCESSFUL": 100.0, "ROLLBACK_SUCCESSFUL": 0.0}


def served(arms: Mapping[str, Sequence[Json]]) -> list[dict[str, Any]]:
    """The canary's share of each minute's requests, in percent."""
    canary = {point["start"]: point["requests"] or 0 for point in arms["canary"]}
    baseline = {point["start"]: point["requests"] or 0 for point in arms["baseline"]}
    shares = []
    for start in sorted({*canary, *baseline}):
        whole = canary.get(start, 0) + baseline.get(start, 0)
        if whole:
            shares.append({"at": start, "canary": round(100 * canary.get(start, 0) / whole, 2)})
    return shares


def weights(
    rollout: Json, calls: Sequence[Json], shares: Sequence[Json], journal: Sequence[Json]
) -> list[dict[str, Any]]:
    """The canary's weight in percent from each moment on, changes only.

    A watcher's journal saw the weights themselves. Without it they follow from the gate's calls:
    ECS shifts when the gate lets it, and the weight a call reports was set before it.
    """
    seen = [_step(entry["at"], entry["weights"]["canary"]) for entry in journal if _weighs(entry)]
    points = seen or list(_from_calls(calls, shares))
    started = rollout.get("startedAt") or rollout.get("createdAt")
    if started:
        points.insert(0, _step(started, 0))
    points.sort(key=lambda point: parse(point["at"]))
    return list(_changes([*points, *_end(rollout)]))


def _weighs(entry: Json) -> bool:
    return bool(entry.get("at")) and "canary" in (entry.get("weights") or {})


def _from_calls(calls: Sequence[Json], shares: Sequence[Json]) -> Iterator[dict[str, Any]]:
    timed = [call for call in calls if call.get("at")]
    for call in timed:
        weight = call["weights"]["canary"]
        first = next((share["at"] for share in shares if share["canary"] > 0), call["at"])
        at = min(parse(first), parse(call["at"])) if weight else parse(call["at"])
        yield _step(at, weight)
    if timed and timed[-1]["weights"]["canary"]:
        ends = {"SUCCEEDED": 100, "FAILED": 0}
        status = timed[-1]["hook_status"]
        if status in ends:
            yield _step(timed[-1]["at"], ends[status])


def _end(rollout: Json) -> Iterator[dict[str, Any]]:
    """Back to 0 when a rollback began, and the weight at the end, if it has ended."""
    rollback = rollout.get("rollback") or {}
    if rollback.get("startedAt"):
        yield _step(rollback["startedAt"], 0)
    finished = rollout.get("finishedAt") or rollout.get("stoppedAt")
    if finished and rollout.get("status") in FINAL:
        yield _step(finished, FINAL[rollout["status"]])


def _changes(points: Iterable[Json]) -> Iterator[dict[str, Any]]:
    last = None
    for point in points:
        if point["canary"] != last:
            last = point["canary"]
            yield dict(point)


def _step(at: Any, canary: float) -> dict[str, Any]:
    return {"at": iso(at), "canary": float(canary)}
