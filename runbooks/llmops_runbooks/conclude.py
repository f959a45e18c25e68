"""What is left to do when a rollout has ended, by whichever command sees it first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llmops_runbooks import outcome as rules
from llmops_runbooks.errors import LlmopsError
from llmops_runbooks.evidence_files import write_evidence
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.outcome import Outcome, Result
from llmops_runbooks.ports import Cloud, Deployment
from llmops_runbooks.records import held
from llmops_runbooks.serving import release_of_revision, serving
from llmops_runbooks.watch import Look, Watch

T = TypeVar("T")
REJECTED = frozenset({"ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})


def conclude(
    watch: Watch,
    look: Look,
    *,
    folder: Path,
    started: float | None = None,
    journal: Sequence[Any] = (),
    asked: Outcome = Outcome.PROMOTED,
) -> Result:
    """Writes the evidence, deregisters a rejected task definition, says the true outcome.

    What goes wrong with the first two is told and does not change the third.
    """
    cloud = watch.cloud
    wall, page = watch.decided_wall, None
    if not look.deployment.under_way:
        _safely(watch, lambda: tidy(cloud, tell=watch.tell))
        page = _safely(watch, lambda: _evidence(watch, look, folder, journal))
    return result(cloud, look, started=started, wall=wall, page=page, asked=asked)


def _evidence(watch: Watch, look: Look, folder: Path, journal: Sequence[Any]) -> str:
    page = str(write_evidence(watch.cloud, look, folder=folder, journal=journal))
    watch.tell(Event("evidence", page, Mark.DONE, watch.cloud.clock.now()))
    return page


def _safely(watch: Watch, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except LlmopsError as error:
        watch.tell(Event("afterwards", error.message, Mark.WARNING, watch.cloud.clock.now()))
        return None


def result(
    cloud: Cloud,
    look: Look,
    *,
    started: float | None = None,
    wall: float | None = None,
    page: str | None = None,
    asked: Outcome = Outcome.PROMOTED,
) -> Result:
    """What is known of a rollout now, in the words of every command."""
    deployment, record, decision = look.deployment, look.record, look.decision
    decider = rules.decided_by(deployment, record, decision)
    seconds = round(wall - started, 3) if wall is not None and started is not None else None
    return Result(
        release=release_of_revision(cloud, deployment.target.arn),
        outcome=rules.outcome_of(deployment),
        asked=asked,
        rollout=deployment.arn,
        status=deployment.status,
        status_reason=deployment.reason or deployment.rollback_reason,
        decided_by=decider,
        reason=rules.reason_of(record, decision, decider),
        held=deployment.under_way and held(record, decision) is not None,
        verdict=rules.verdict_at_decision(record),
        canary_requests_at_decision=rules.canary_requests(record),
        started_at=rules.iso(deployment.started_at or deployment.created_at),
        decided_at=rules.decided_at(deployment, record, decision),
        finished_at=rules.iso(deployment.finished_at),
        seconds_from_start_to_decision=seconds,
        decided_wall=wall,
        evidence=page,
    )


def tidy(cloud: Cloud, *, tell: Tell = silent) -> list[str]:
    """Deregisters the task definitions of rollouts that were rolled back; their ARNs.

    Else the rejected one would be the family's latest, and the next infrastructure deploy would
    bring it back (reference 3.3). Safe to repeat; only deployments after the last success count.
    """
    gone = []
    for deployment in cloud.deployments.deployments():
        if deployment.status == "SUCCESSFUL":
            break
        arn = _rejected(cloud, deployment)
        if arn:
            cloud.deployments.deregister(arn)
            gone.append(arn)
            text = f"deregistered the rejected {arn.split('/')[-1]}"
            tell(Event("clean up", text, Mark.DONE, cloud.clock.now()))
    return gone


def _rejected(cloud: Cloud, deployment: Deployment) -> str | None:
    if deployment.status not in REJECTED:
        return None
    arn = cloud.deployments.task_definition_of(deployment.target.arn)
    if arn is None or arn == serving(cloud).arn:
        return None
    return arn if cloud.deployments.task_definition(arn).get("status") == "ACTIVE" else None
