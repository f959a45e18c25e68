"""Status: what serves, what is on its way, and what the alarms say. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from llmops_runbooks.history import look_at
from llmops_runbooks.narration import WORDS, stage_of
from llmops_runbooks.ports import Cloud, Deployment
from llmops_runbooks.records import elapsed_minutes, last_verdict
from llmops_runbooks.serving import UNKNOWN, release_of_revision, service_of, serving, under_way

MISSING = "MISSING"


@dataclass(frozen=True)
class Arm:
    """A release that gets traffic, with its share of it in percent."""

    release: str
    percent: float


@dataclass(frozen=True)
class Rollout:
    """The rollout under way."""

    rollout: str
    arn: str
    release: str
    status: str
    stage: str
    step: str
    text: str
    canary_percent: float
    waiting_hooks: tuple[str, ...]
    held: str | None
    """Why the gate waits for a person; None: it does not."""
    verdict: dict[str, Any] | None


@dataclass(frozen=True)
class Status:
    """One look at a deployed service."""

    environment: str
    service_url: str
    serving: tuple[Arm, ...]
    target_group_weights: dict[str, int]
    rollout: Rollout | None
    alarms: Mapping[str, str]
    tasks: dict[str, int]
    next: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status(cloud: Cloud) -> Status:
    """Reads everything; raises UsageError if the service is not deployed."""
    where, service, found = cloud.coordinates, service_of(cloud), under_way(cloud)
    states = cloud.alarms.states(where.alarms)
    rollout = _rollout(cloud, found) if found else None
    return Status(
        environment=where.environment,
        service_url=where.service_url,
        serving=_arms(cloud, found),
        target_group_weights=cloud.routing.weights(where.production_rule_arn),
        rollout=rollout,
        alarms={name: states.get(name, MISSING) for name in where.alarms},
        tasks={"desired": service.desired, "running": service.running},
        next=_next(found, rollout),
    )


def _arms(cloud: Cloud, found: Deployment | None) -> tuple[Arm, ...]:
    if found is None:
        return (Arm(serving(cloud).release, 100.0),)
    canary = Arm(release_of_revision(cloud, found.target.arn), found.target.weight)
    if found.source is None:
        return (canary,)
    baseline = Arm(release_of_revision(cloud, found.source.arn), 100.0 - found.target.weight)
    return tuple(arm for arm in (baseline, canary) if arm.percent > 0 or arm.release == UNKNOWN)


def _rollout(cloud: Cloud, found: Deployment) -> Rollout:
    look = look_at(cloud, found)
    verdict, elapsed = last_verdict(look.record), elapsed_minutes(look.record)
    event = stage_of(found, verdict, elapsed, held=look.held, golden=look.golden)
    return Rollout(
        rollout=found.id,
        arn=found.arn,
        release=release_of_revision(cloud, found.target.arn),
        status=found.status,
        stage=found.stage,
        step=event.step,
        text=event.text,
        canary_percent=found.target.weight,
        waiting_hooks=tuple(hook.hook_id for hook in found.pauses),
        held=look.held,
        verdict=dict(verdict) if verdict else None,
    )


def _next(found: Deployment | None, rollout: Rollout | None) -> str:
    if found is None:
        return "llmops release VERSION"
    if found.pauses or (rollout and rollout.held):
        return WORDS
    return "llmops status --watch"
