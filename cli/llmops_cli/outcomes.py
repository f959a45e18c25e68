"""The last lines of a command that moved traffic, and its exit code."""

from __future__ import annotations

import json

import typer

from llmops_cli.render import Screen
from llmops_runbooks.narration import WORDS as DECIDE
from llmops_runbooks.outcome import Outcome, Result

WORDS = {
    Outcome.PROMOTED: "promoted: it has 100 % of the traffic",
    Outcome.ROLLED_BACK: "rolled back: the release before it serves",
    Outcome.ROLLBACK_FAILED: "ROLLBACK FAILED: look at the service now (llmops status)",
    Outcome.STOPPED: "stopped by ECS: look at the service now (llmops status)",
    Outcome.WAITING: "under way: llmops status --watch",
    Outcome.ALREADY_SERVING: "already serves 100 % of the traffic",
    Outcome.PLANNED: "a dry run: nothing was changed",
}


def end(screen: Screen, found: Result) -> None:
    """Shows the outcome and exits with its code."""
    screen.finish(found.to_json(), lines(found))
    raise typer.Exit(int(found.exit_code))


def lines(found: Result) -> list[str]:
    """The outcome in words: what, who decided, why, where the evidence is."""
    if found.held:
        return [f"{found.release} is waiting for a person: {found.reason}", f"decide: {DECIDE}"]
    told = [f"{found.release} {WORDS[found.outcome]}"]
    if found.decided_by:
        told.append(f"decided by the {found.decided_by}{_why(found)}")
    if found.plan:
        told.append(json.dumps(found.plan, indent=2))
    if found.evidence:
        told.append(f"evidence: {found.evidence}")
    return told


def _why(found: Result) -> str:
    if found.decided_by == "gate" and found.reason:
        return f": {found.reason}"
    return f": {found.status_reason}" if found.status_reason else ""
