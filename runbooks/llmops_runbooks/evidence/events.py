"""What happened during a rollout, in order: moments with a kind, who, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from llmops_runbooks.moments import iso, seconds
from llmops_runbooks.records import GOLDEN_STAGE

Json = Mapping[str, Any]
Kind = Literal["ecs", "stage", "golden", "gate", "guard", "alarm", "operator"]

ENDS = {
    "SUCCESSFUL": "the canary has all traffic",
    "ROLLBACK_SUCCESSFUL": "rolled back, the release before it serves",
    "ROLLBACK_FAILED": "ROLLBACK FAILED",
    "STOPPED": "stopped",
}
TOLD_BY_OTHERS = frozenset(
    {"golden set", "decision", "evidence", "clean up", "promoted", "rolled back"}
)
"""Steps of a watcher that ECS's or the gate's own words tell better."""


def of(evidence: Json) -> list[dict[str, Any]]:
    """The events of an evidence, oldest first; each with `at`, `kind`, `by` and `text`."""
    found = [
        *_ecs(evidence),
        *_gate(evidence["calls"], evidence["golden"]),
        *_guards(evidence["calls"]),
        *_operator(evidence["decision"]),
        *_watcher(evidence["journal"]),
    ]
    return sorted((event for event in found if event["at"]), key=lambda event: seconds(event["at"]))


def _event(at: str | None, kind: Kind, by: str, text: str) -> dict[str, Any]:
    return {"at": iso(at), "kind": kind, "by": by, "text": text}


def _ecs(evidence: Json) -> Iterator[dict[str, Any]]:
    about = evidence["deployment"]
    yield _event(about["started"], "ecs", "ECS", "the rollout began")
    for alarm in about["alarms"]["triggered"]:
        yield _event(about["rollback_started"], "alarm", alarm, "the alarm fired")
    reason = about["status_reason"] or "the rollback began"
    yield _event(about["rollback_started"], "ecs", "ECS", reason)
    ended = ENDS.get(about["status"], "")
    if ended:
        yield _event(about["finished"], "ecs", "ECS", ended)


def _gate(calls: Sequence[Json], golden: Json | None) -> Iterator[dict[str, Any]]:
    """Each time the gate's answer changed: the stage, the answer, or what the verdict decides."""

    def answer(call: Json) -> tuple[Any, ...]:
        return call["stage"], call["hook_status"], (call["verdict"] or {}).get("decision")

    for _, same in groupby(calls, key=answer):
        call = next(same)
        of_golden = call["stage"] == GOLDEN_STAGE
        ended = of_golden and golden and call["hook_status"] != "IN_PROGRESS"
        text = golden["reason"] if golden and ended else _text(call)
        yield _event(call["at"], "golden" if of_golden else "gate", "gate", text)


def _text(call: Json) -> str:
    verdict = call["verdict"] or {}
    text = verdict.get("reason") or call["reason"] or call["hook_status"].lower()
    return f"{verdict['decision']}: {text}" if verdict else text


def _guards(calls: Sequence[Json]) -> Iterator[dict[str, Any]]:
    """The guards that fired, but for those that the verdict itself quotes."""
    reasons = [(call["verdict"] or {}).get("reason", "") for call in calls]
    for guard in guards(calls):
        if not any(guard["text"].rstrip(".") in reason for reason in reasons):
            yield _event(guard["first"], "guard", "guard", guard["text"])


def guards(calls: Sequence[Json]) -> list[dict[str, Any]]:
    """Every guard that fired, once, with `first` and `last` moment and its newest sentence.

    The minimum of requests is left out: every canary begins below it.
    """
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for call in calls:
        for guard in (call["verdict"] or {}).get("guards") or ():
            if guard["guard"] == "minimum":
                continue
            key = (guard["guard"], guard.get("metric"))
            first = found.get(key, {"first": call["at"]})["first"]
            found[key] = {**guard, "first": first, "last": call["at"]}
    return list(found.values())


def _operator(decision: Json | None) -> Iterator[dict[str, Any]]:
    if decision:
        reason = f": {decision['reason']}" if decision.get("reason") else ""
        text = f"says {decision['decision']}{reason}"
        yield _event(decision.get("at"), "operator", str(decision.get("by") or "operator"), text)


def _watcher(journal: Sequence[Json]) -> Iterator[dict[str, Any]]:
    """What a watcher saw, once per step: while a canary runs it tells every look."""
    for step, same in groupby(journal, key=lambda entry: entry["step"]):
        if step not in TOLD_BY_OTHERS:
            first = next(same)
            live = (first.get("weights") or {}).get("canary")
            text = "live" if live and str(step).startswith("canary") else first["text"]
            said = ": ".join(part for part in (str(step or ""), text) if part)
            yield _event(first["at"], "stage", "watcher", said)
