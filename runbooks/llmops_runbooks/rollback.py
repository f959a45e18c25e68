"""Rollback: back to what served before, by the verb that fits the rollout's state (reference 0.3).

paused                  ContinueServiceDeployment(ROLLBACK)
running or baking       StopServiceDeployment(ROLLBACK)
nothing under way       a release of the release before, at 100 % at once, without gate or alarms
"""

from __future__ import annotations

from dataclasses import replace

from llmops_runbooks.attach import attach, left, planned
from llmops_runbooks.errors import UsageError
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.outcome import Outcome, Result
from llmops_runbooks.ports import GOING_BACK, Cloud, Deployment
from llmops_runbooks.promote import Word
from llmops_runbooks.records import write_decision
from llmops_runbooks.release import Job, plan, release
from llmops_runbooks.serving import UNKNOWN, release_of_revision, serving, under_way
from llmops_runbooks.strategy import is_quick


def rollback(job: Job, word: Word, *, dry_run: bool = False) -> Result:
    """Goes back; `job.version` says where to when no rollout is under way ("": the one before)."""
    found = under_way(job.cloud)
    if found is not None:
        return _end(job, found, word, dry_run=dry_run)
    undoing = replace(job, version=job.version or previous(job.cloud), quick=True)
    return plan(undoing) if dry_run else release(undoing)


def _end(job: Job, found: Deployment, word: Word, *, dry_run: bool) -> Result:
    cloud = job.cloud
    if job.version:
        raise UsageError(
            f"A rollout is under way ({found.id}): it goes back to the release that still serves, "
            f"not to {job.version}.",
            hint="llmops rollback, without --to.",
        )
    if dry_run:
        return planned(cloud, found, "roll back")
    if found.status not in GOING_BACK:
        end_rollout(cloud, found, word, tell=job.pass_on)
    asked = Outcome.ROLLED_BACK
    if not job.hold:
        return left(cloud, found, asked=asked)
    return attach(cloud, found, job.settings, folder=job.folder, tell=job.tell, asked=asked)


def end_rollout(cloud: Cloud, found: Deployment, word: Word, *, tell: Tell = silent) -> None:
    """Says the word to the engine, which moves the traffic back."""
    write_decision(
        cloud.artifacts, cloud.clock, found, word="rollback", by=word.by, reason=word.reason
    )
    paused = [
        cloud.deployments.resume(found.arn, hook.hook_id, "ROLLBACK") for hook in found.pauses
    ]
    if not any(paused) and not cloud.deployments.stop(found.arn):
        raise UsageError(
            f"The rollout {found.id} has ended meanwhile.", hint="llmops status shows how."
        )
    release = release_of_revision(cloud, found.target.arn)
    because = f" ({word.reason})" if word.reason else ""
    told = f"{release} goes back, by {word.by}{because}"
    tell(Event("rollback", told, Mark.DONE, cloud.clock.now()))


def previous(cloud: Cloud) -> str:
    """The release that served before the live one; raises UsageError if that is not certain."""
    live = serving(cloud).release
    for deployment in cloud.deployments.deployments():
        if deployment.status != "SUCCESSFUL":
            continue
        if is_quick(deployment.configuration):
            raise UsageError(
                f"The last rollout was itself a rollback, to {live}.",
                hint="Say where to: llmops rollback --to VERSION.",
            )
        source = deployment.source.arn if deployment.source else None
        before = release_of_revision(cloud, source)
        if before not in (live, UNKNOWN):
            return before
    raise UsageError(
        f"No release served before {live}: there is nothing to roll back to.",
        hint="Say where to: llmops rollback --to VERSION.",
    )
