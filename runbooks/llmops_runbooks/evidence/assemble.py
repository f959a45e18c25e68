"""Put a rollout's evidence together from what ECS, the gate, CloudWatch and the watcher know.

Nothing is invented: what no source knows is null. The shape is published in `schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_runbooks.evidence import moments
from llmops_runbooks.evidence.moments import iso
from llmops_runbooks.evidence.traffic import served, weights

SCHEMA = 1

Json = Mapping[str, Any]

OUTCOMES = {
    "SUCCESSFUL": "promoted",
    "ROLLBACK_SUCCESSFUL": "rolled back",
    "ROLLBACK_FAILED": "rollback failed",
    "STOPPED": "stopped",
}
"""Status of the service deployment -> outcome; any other status is still `under way`."""


def assemble(
    *,
    rollout: Json,
    record: Json | None,
    series: Mapping[str, Sequence[Json]],
    journal: Sequence[Json],
) -> dict[str, Any]:
    """The evidence of one rollout.

    rollout: an element of DescribeServiceDeployments; record: gate.json, if the gate was asked;
    series: `baseline` and `canary` points as CloudWatchMetrics.series gives them; journal: what a
    watcher saw, each with `at` and any of `weights`, `stage`, `status`, `step`, `text`.
    """
    gate = record or {}
    arms = {arm: _points(arm, series.get(arm) or (), gate) for arm in ("baseline", "canary")}
    calls = list(gate.get("calls") or ())
    shares = served(arms)
    return {
        "schema": SCHEMA,
        "rollout": _rollout(rollout, gate),
        "baseline": gate.get("baseline") or _side(_first(rollout.get("sourceServiceRevisions"))),
        "canary": gate.get("canary") or _side(rollout.get("targetServiceRevision")),
        "outcome": OUTCOMES.get(rollout.get("status", ""), "under way"),
        "decided_by": _decided_by(rollout, gate),
        "reason": _reason(rollout, calls),
        "decision": gate.get("decision"),
        "verdict": _last_verdict(calls),
        "policy": dict(gate.get("policy") or {}),
        "weights": weights(rollout, calls, shares, journal),
        "served": shares,
        "series": arms,
        "verdicts": [{**call, "at": iso(call.get("at"))} for call in calls],
        "alarms": _alarms(rollout),
        "events": [_event(entry) for entry in journal if entry.get("at")],
    }


def _rollout(rollout: Json, gate: Json) -> dict[str, Any]:
    arn = rollout.get("serviceDeploymentArn") or gate.get("rollout") or ""
    configuration = rollout.get("deploymentConfiguration") or {}
    canary = configuration.get("canaryConfiguration") or {}
    return {
        "arn": arn,
        "id": arn.rpartition("/")[2],
        "service": gate.get("service") or (rollout.get("serviceArn") or "").rpartition("/")[2],
        "environment": gate.get("environment"),
        "status": rollout.get("status"),
        "status_reason": rollout.get("statusReason"),
        "started": iso(rollout.get("startedAt") or rollout.get("createdAt")),
        "finished": iso(rollout.get("finishedAt") or rollout.get("stoppedAt")),
        "canary_percent": canary.get("canaryPercent"),
        "canary_bake_minutes": canary.get("canaryBakeTimeInMinutes"),
        "bake_minutes": configuration.get("bakeTimeInMinutes"),
    }


def _decided_by(rollout: Json, gate: Json) -> str | None:
    """`gate` or `operator` by the gate's record; `alarm` or `engine` if ECS ended it otherwise."""
    decided: str | None = gate.get("decided_by")
    if _alarms(rollout)["triggered"] and rollout.get("status") != "SUCCESSFUL":
        return "alarm"
    ended = rollout.get("status") in OUTCOMES and rollout.get("status") != "SUCCESSFUL"
    contradicts = ended and _passed(gate)
    return "engine" if ended and (decided is None or contradicts) else decided


def _passed(gate: Json) -> bool:
    calls = list(gate.get("calls") or ())
    return bool(calls) and calls[-1].get("hook_status") == "SUCCEEDED"


def _reason(rollout: Json, calls: Sequence[Json]) -> str:
    """Why it ended so: the gate's last sentence if it decided, else ECS's."""
    last = calls[-1] if calls else {}
    verdict = last.get("verdict") or {}
    said = last.get("reason") or verdict.get("reason") or ""
    ecs = rollout.get("statusReason") or ""
    ended_well = rollout.get("status") == "SUCCESSFUL"
    if ended_well or last.get("hook_status") == "FAILED" or not ecs:
        return said or ecs
    return ecs


def _last_verdict(calls: Sequence[Json]) -> Json | None:
    return next((call["verdict"] for call in reversed(calls) if call.get("verdict")), None)


def _points(arm: str, points: Sequence[Json], gate: Json) -> list[dict[str, Any]]:
    """The series; where CloudWatch gave none, the minutes that the gate itself had read."""
    if points:
        return [{**point, "start": iso(point["start"])} for point in points]
    return [
        _from_interval(interval, interval[arm])
        for interval in gate.get("intervals") or ()
        if interval[arm].get("requests")
    ]


def _from_interval(interval: Json, arm: Json) -> dict[str, Any]:
    return {
        "start": iso(interval["start"]),
        "seconds": interval.get("seconds", moments.MINUTE),
        **{key: arm.get(key) for key in ("requests", "errors", "answers", "poor")},
        "quality": _mean(arm.get("quality_sum"), arm.get("answers")),
        "latency_avg": _mean(arm.get("latency_sum"), arm.get("requests")),
        "latency_p50": None,
        "latency_p95": None,
    }


def _mean(total: float | None, n: int | None) -> float | None:
    return None if total is None or not n else total / n


def _alarms(rollout: Json) -> dict[str, Any]:
    alarms = rollout.get("alarms") or {}
    return {
        "status": alarms.get("status"),
        "names": list(alarms.get("alarmNames") or ()),
        "triggered": list(alarms.get("triggeredAlarmNames") or ()),
    }


def _event(entry: Json) -> dict[str, Any]:
    words = [entry.get("text") or entry.get("stage"), entry.get("status")]
    text = " · ".join(str(word) for word in words if word)
    return {"at": iso(entry["at"]), "step": entry.get("step"), "text": text}


def _side(revision: Json | None) -> dict[str, Any] | None:
    return {"release": None, "revision": revision["arn"]} if revision else None


def _first(revisions: Sequence[Json] | None) -> Json | None:
    return next(iter(revisions or ()), None)
