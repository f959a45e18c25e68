"""Promote: a person says that the canary may have the rest.

A PAUSE that waits is continued with its current hook id; a gate that is asked reads the decision.
Before the canary is live there is nothing to promote, except the pause that stands before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops_runbooks.errors import UsageError
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.ports import GOING_BACK, Cloud, Deployment
from llmops_runbooks.records import write_decision
from llmops_runbooks.serving import release_of_revision, under_way
from llmops_runbooks.watch import before_the_canary

START_CANARY = "start the canary"
PROMOTE = "promote"


@dataclass(frozen=True)
class Word:
    """Who says it, and why."""

    by: str
    reason: str = ""


def intention(cloud: Cloud) -> tuple[Deployment, str]:
    """The rollout and what `promote` means for it now; raises UsageError if nothing."""
    found = under_way(cloud)
    if found is None:
        raise UsageError(
            "There is nothing to promote: no rollout is under way.", hint="llmops release VERSION"
        )
    release = release_of_revision(cloud, found.target.arn)
    if found.status in GOING_BACK or found.status == "STOP_REQUESTED":
        raise UsageError(f"There is nothing to promote: {release} is being rolled back.")
    if found.target.weight >= 100:
        raise UsageError(f"There is nothing to promote: {release} has 100 % already and bakes.")
    if found.target.weight > 0 or not before_the_canary(cloud, found):
        return found, PROMOTE
    if found.pauses:
        return found, START_CANARY
    raise UsageError(
        f"There is nothing to promote yet: {release} has no traffic (it scales up).",
        hint="llmops status --watch shows when the canary is live.",
    )


def promote(cloud: Cloud, word: Word, *, tell: Tell = silent) -> Deployment:
    """Says the word to the engine; returns the rollout as it was before."""
    found, meaning = intention(cloud)
    if meaning == PROMOTE:
        write_decision(
            cloud.artifacts, cloud.clock, found, word="promote", by=word.by, reason=word.reason
        )
    continued = [
        cloud.deployments.resume(found.arn, hook.hook_id, "CONTINUE") for hook in found.pauses
    ]
    if found.pauses and not any(continued):
        raise UsageError(
            "The pause is over: somebody answered it first, or it timed out.",
            hint="llmops status shows what became of the rollout.",
        )
    release = release_of_revision(cloud, found.target.arn)
    told = f"{meaning}: {release}, by {word.by}{f' ({word.reason})' if word.reason else ''}"
    tell(Event("promote", told, Mark.DONE, cloud.clock.now()))
    return found
