"""Stay with a rollout, come back to it, or leave it: ECS goes on in any case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_runbooks.conclude import conclude, result
from llmops_runbooks.history import look_at
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.outcome import Outcome, Result
from llmops_runbooks.ports import Cloud, Deployment
from llmops_runbooks.serving import release_of_revision
from llmops_runbooks.settings import Environment
from llmops_runbooks.watch import Watch


def follow(
    watch: Watch,
    *,
    folder: Path,
    started: float | None = None,
    journal: Sequence[Any] = (),
    hold: bool = True,
    asked: Outcome = Outcome.PROMOTED,
) -> Result:
    """Watches to the end and concludes; without `hold`, leaves when only a person is waited for.

    Ctrl-C detaches: the outcome is `waiting`, and a last line says how to come back.
    """
    try:
        look = watch.to_the_end(hold=hold)
    except KeyboardInterrupt:
        text = "the rollout goes on without this command; come back with: llmops status --watch"
        watch.tell(Event("detached", text, Mark.WAITING, watch.cloud.clock.now()))
        look = watch.look()
    return conclude(watch, look, started=started, folder=folder, journal=journal, asked=asked)


def attach(
    cloud: Cloud,
    found: Deployment,
    settings: Environment,
    *,
    folder: Path,
    tell: Tell = silent,
    asked: Outcome = Outcome.PROMOTED,
) -> Result:
    """Comes back to a rollout that this command did not start, and stays to its end."""
    journal: list[dict[str, Any]] = []

    def hear(event: Event) -> None:
        # Whoever comes late has not seen every weight: the gate's record knows better.
        journal.append(replace(event, canary=None).entry())
        tell(event)

    watch = Watch(cloud, found.arn, settings.poll_seconds, hear)
    return follow(watch, folder=folder, journal=journal, asked=asked)


def left(cloud: Cloud, found: Deployment, *, asked: Outcome = Outcome.PROMOTED) -> Result:
    """What is known of a rollout that nobody stays with."""
    now = cloud.deployments.deployment(found.arn) or found
    return result(cloud, look_at(cloud, now), asked=asked)


def planned(cloud: Cloud, found: Deployment, meaning: str) -> Result:
    """A dry run of a word about a rollout: what it would mean now."""
    release = release_of_revision(cloud, found.target.arn)
    return Result(
        release=release,
        outcome=Outcome.PLANNED,
        rollout=found.arn,
        status=found.status,
        plan={"action": meaning, "hooks": [hook.hook_id for hook in found.pauses]},
    )
