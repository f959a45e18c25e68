"""Put a rollout's evidence together from what ECS, the gate and the watcher know.

Evidence is the gate's record, key for key, and what is known beside it; so whatever reads a record
reads evidence too. Nothing is invented: what no source knows is null, or empty. The shape is
published in `schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_runbooks.evidence import counterfactual, events
from llmops_runbooks.evidence.sentence import sentence
from llmops_runbooks.evidence.traffic import served, weights
from llmops_runbooks.moments import iso
from llmops_runbooks.outcome import decided_by, outcome_of
from llmops_runbooks.ports import Deployment, RevisionView
from llmops_runbooks.records import held

SCHEMA = 2

Json = Mapping[str, Any]


def assemble(
    deployment: Deployment,
    *,
    record: Json | None,
    decision: Json | None = None,
    journal: Sequence[Json] = (),
    service: str = "",
    environment: str | None = None,
    releases: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """The evidence of one rollout.

    record: gate.json, None if the gate was never asked; decision: the operator's word; journal:
    what a watcher saw, each entry with `at`, `step`, `text` and maybe `weights`; releases: arm ->
    release, for what the gate's record does not say.
    """
    gate = record if record and record.get("schema") == SCHEMA else {}
    known = _record(gate, deployment, service, environment, releases or {})
    known["decision"] = known["decision"] or decision
    known["decided_by"] = decided_by(deployment, record, decision)
    found = {
        **known,
        "outcome": str(outcome_of(deployment)),
        "held": deployment.under_way and bool(deployment.pauses or held(record, decision)),
        "deployment": _deployment(deployment),
        "verdict": _last_verdict(known["calls"]),
        "weights": weights(deployment, known["calls"], known["begin"], journal),
        "served": served(known["intervals"]),
        "peers": counterfactual.peers(known),
        "journal": [_entry(entry) for entry in journal if entry.get("at")],
    }
    found["events"] = events.of(found)
    return {"schema": SCHEMA, "sentence": sentence(found), **found}


def _record(
    gate: Json,
    deployment: Deployment,
    service: str,
    environment: str | None,
    releases: Mapping[str, str | None],
) -> dict[str, Any]:
    """The gate's record, with what it does not say filled in from ECS where ECS knows it."""
    return {
        "rollout": gate.get("rollout") or deployment.arn,
        "service": gate.get("service") or service or deployment.service_arn.rpartition("/")[2],
        "environment": gate.get("environment") or environment,
        "baseline": _side(gate.get("baseline"), deployment.source, releases.get("baseline")),
        "canary": _side(gate.get("canary"), deployment.target, releases.get("canary")),
        "policy": dict(gate.get("policy") or {}),
        "weight": gate.get("weight"),
        "begin": iso(gate.get("begin")),
        "history": gate.get("history"),
        "golden": gate.get("golden"),
        "spend": gate.get("spend"),
        "calls": [_call(call) for call in gate.get("calls") or ()],
        "intervals": [_interval(interval) for interval in gate.get("intervals") or ()],
        "decision": gate.get("decision"),
    }


def _call(call: Json) -> dict[str, Any]:
    optional = {"reason": "", "verdict": None, "through": None, "elapsed_minutes": None}
    told = {**optional, **call}
    return {**told, "at": iso(told.get("at")), "through": iso(told["through"])}


def _interval(interval: Json) -> dict[str, Any]:
    return {**interval, "start": iso(interval["start"])}


def _side(
    known: Json | None, revision: RevisionView | None, release: str | None
) -> dict[str, Any] | None:
    if known:
        return {**known, "release": known.get("release") or release}
    return {"release": release, "revision": revision.arn} if revision else None


def _deployment(deployment: Deployment) -> dict[str, Any]:
    configuration = deployment.configuration
    canary = configuration.get("canaryConfiguration") or {}
    return {
        "id": deployment.id,
        "status": deployment.status,
        "status_reason": deployment.reason or deployment.rollback_reason or None,
        "started": iso(deployment.started_at or deployment.created_at),
        "finished": iso(deployment.finished_at or deployment.stopped_at),
        "rollback_started": iso(deployment.rollback_started_at),
        "canary_percent": canary.get("canaryPercent"),
        "canary_bake_minutes": canary.get("canaryBakeTimeInMinutes"),
        "bake_minutes": configuration.get("bakeTimeInMinutes"),
        "alarms": {
            "status": deployment.alarm_status or None,
            "names": list((configuration.get("alarms") or {}).get("alarmNames") or ()),
            "triggered": list(deployment.triggered_alarms),
        },
    }


def _last_verdict(calls: Sequence[Json]) -> Json | None:
    return next((call["verdict"] for call in reversed(calls) if call["verdict"]), None)


def _entry(entry: Json) -> dict[str, Any]:
    told = {key: entry[key] for key in ("step", "text", "weights") if entry.get(key) is not None}
    return {"at": iso(entry["at"]), "step": None, "text": "", **told}
