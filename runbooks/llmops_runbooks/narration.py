"""What a rollout says while it goes on: one event per change, the same words in text and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from llmops_runbooks.figures import stopwatch
from llmops_runbooks.ports import GOING_BACK, Deployment


class Mark(StrEnum):
    """The sign before a line; every line can be understood without it."""

    DONE = "✓"
    NOW = "●"
    WAITING = "…"
    WARNING = "!"
    FAILED = "✗"


@dataclass(frozen=True)
class Event:
    """One line of progress; `verdict` is the judge's table, if the line has one."""

    step: str
    text: str
    mark: Mark = Mark.DONE
    at: datetime | None = None
    verdict: Mapping[str, Any] | None = None
    canary: float | None = None
    """The canary's share of the traffic in percent, if the line is about a rollout."""

    def entry(self) -> dict[str, Any]:
        """The event in the journal that goes into the evidence."""
        at = self.at.isoformat() if self.at else None
        told: dict[str, Any] = {"at": at, "step": self.step, "text": self.text}
        if self.canary is not None:
            told["weights"] = {"baseline": 100 - self.canary, "canary": self.canary}
        return told


ENDS = {
    "SUCCESSFUL": ("promoted", Mark.DONE, "100 % of the traffic, the old tasks are drained"),
    "STOPPED": ("stopped", Mark.FAILED, "ECS stopped the rollout"),
    "ROLLBACK_SUCCESSFUL": ("rolled back", Mark.FAILED, "the release before serves"),
    "ROLLBACK_FAILED": ("not rolled back", Mark.FAILED, "ROLLBACK FAILED"),
}
"""Status -> step, mark, and what is said if ECS gives no reason."""

Tell = Callable[[Event], None]


def silent(_: Event) -> None:
    """Tells nobody."""


WORDS = 'llmops promote --reason "...", or llmops rollback --reason "..."'
"""What a person can say about a canary that waits for a word."""


def stage_of(
    deployment: Deployment,
    verdict: Mapping[str, Any] | None,
    elapsed_minutes: float | None = None,
    *,
    held: str | None = None,
    golden: str | None = None,
) -> Event:
    """Where a rollout is, with the canary's share; elapsed: of the canary, when it was judged.

    held: why the gate waits for a person; golden: how far the golden set is, while it is asked.
    """
    found = _stage_of(deployment, verdict, elapsed_minutes)
    goes_on = deployment.status not in ENDS and deployment.status not in GOING_BACK
    if goes_on and 0 < deployment.target.weight < 100 and held:
        text = f"waiting for a person: {held} Decide: {WORDS}"
        found = Event(found.step, text, Mark.WAITING, verdict=verdict)
    if goes_on and deployment.target.weight == 0 and golden and not deployment.pauses:
        found = Event("golden set", golden, Mark.NOW)
    return replace(found, canary=deployment.target.weight)


def _stage_of(
    deployment: Deployment, verdict: Mapping[str, Any] | None, elapsed_minutes: float | None
) -> Event:
    """Read from statuses, weights and hooks, never from stage names.

    Stages are transient and one has no name of its own (reference 0.5); the stage is quoted only
    before any traffic moved.
    """
    if deployment.status in ENDS or deployment.status in GOING_BACK:
        return _ending(deployment)
    target = deployment.target
    if target.weight >= 100:
        return Event("bake", "canary at 100 %, alarms watched", Mark.NOW)
    if target.weight > 0:
        return _canary(deployment, verdict, elapsed_minutes)
    if deployment.pauses:
        return Event("pause", "before the canary", Mark.WAITING)
    stage = deployment.stage.lower().replace("_", " ") or "pending"
    tasks = f"{target.running} of {target.requested} tasks run"
    return Event("scale up", f"{tasks} ({stage})", Mark.NOW)


def _ending(deployment: Deployment) -> Event:
    step, mark, otherwise = ENDS.get(deployment.status, ("rollback", Mark.NOW, "asked for"))
    return Event(step, deployment.reason or deployment.rollback_reason or otherwise, mark)


def _canary(
    deployment: Deployment, verdict: Mapping[str, Any] | None, elapsed_minutes: float | None
) -> Event:
    share = f"canary {deployment.target.weight:g} %"
    if deployment.pauses:
        text = "live, waiting for a person: llmops promote, or llmops rollback"
        return Event(share, text, Mark.WAITING, verdict=verdict)
    if verdict is None:
        return Event(share, "live, the gate has not judged yet", Mark.NOW)
    parts = [f"{verdict['requests']['canary']:,} requests"]
    if elapsed_minutes is not None:
        parts.append(stopwatch(60 * elapsed_minutes))
    if verdict["decision"] != "wait":
        parts.append(f"{verdict['decision']}: {verdict['reason']}")
    return Event(share, " · ".join(parts), Mark.NOW, verdict=verdict)
