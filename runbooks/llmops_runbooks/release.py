"""Release: preflight, publish, register, update once, watch to the true end.

ECS drives the rollout; this command only starts it and looks. What it undoes itself is the task
definition it registered, if ECS refuses the update or rolls it back.

A release that already serves is done: exit 0, `already_serving`, nothing is changed; unless an
infrastructure deploy registered a newer task definition since, which this then rolls out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from llmops_runbooks import preflight, strategy
from llmops_runbooks.attach import follow
from llmops_runbooks.candidate import clone, mould
from llmops_runbooks.conclude import result, tidy
from llmops_runbooks.errors import CloudError, LlmopsError, Undecided, UsageError
from llmops_runbooks.manifest import Release
from llmops_runbooks.narration import Event, Mark, Tell, silent
from llmops_runbooks.outcome import Outcome, Result
from llmops_runbooks.ports import Cloud
from llmops_runbooks.publish import Below, assemble, exists, publish, published
from llmops_runbooks.serving import Serving, service_of, serving
from llmops_runbooks.settings import Environment
from llmops_runbooks.watch import PATIENCE, Watch

MARGIN = timedelta(minutes=5)
"""How far before the update a deployment is looked for: the Date header may be behind."""


@dataclass
class Job:
    """One release to carry out. `folder` is where evidence goes; `hold` waits for a person."""

    version: str
    cloud: Cloud
    settings: Environment
    project: Path
    folder: Path
    tell: Tell = silent
    hold: bool = True
    quick: bool = False
    journal: list[dict[str, Any]] = field(default_factory=list)

    def say(self, step: str, text: str, mark: Mark = Mark.DONE) -> None:
        self.pass_on(Event(step, text, mark, self.cloud.clock.now()))

    def pass_on(self, event: Event) -> None:
        self.journal.append(event.entry())
        self.tell(event)


def release(job: Job) -> Result:
    """Carries the job out to its end. Raises UsageError, with nothing changed, at preflight."""
    check(job)
    live = serving(job.cloud)
    manifest = _published(job)
    tidy(job.cloud, tell=job.pass_on)
    if manifest.id == live.release and mould(job.cloud, live) is live.task_definition:
        return _already(job, manifest)
    started = job.cloud.clock.wall()
    arn = start(job, live, manifest)
    watch = Watch(job.cloud, arn, job.settings.poll_seconds, job.pass_on)
    if not job.hold and (job.quick or job.settings.canary.promotion == "gate"):
        return result(job.cloud, watch.look())
    return follow(watch, folder=job.folder, started=started, journal=job.journal, hold=job.hold)


def plan(job: Job) -> Result:
    """The dry run: every check, and what would be sent; changes nothing."""
    check(job)
    cloud, live = job.cloud, serving(job.cloud)
    manifest = published(job.version, cloud.artifacts)
    new = manifest is None
    if manifest is None:
        settings = job.settings
        below = Below(cloud.registry, settings.base_image, settings.service.architecture)
        parts = assemble(job.version, job.project, below, cloud.artifacts)
        manifest = parts.release
    base = mould(cloud, live)
    if manifest.id == live.release and base is live.task_definition:
        return _already(job, manifest)
    outline = {
        "replaces": live.release,
        "publish": new,
        "task_definition": clone(cloud, base, manifest),
        "deployment_configuration": _configuration(job, _other_models(job, live, manifest)),
    }
    return Result(release=manifest.id, outcome=Outcome.PLANNED, plan=outline)


def check(job: Job) -> None:
    """The preflight: refuses with one UsageError, and changes nothing."""
    cloud = job.cloud
    preflight.service_is_there(cloud)
    facts = [preflight.no_rollout_under_way(cloud)]
    exists(job.version, job.project, cloud.artifacts)
    if not job.quick:
        facts.append(preflight.alarms_quiet(cloud))
    facts.append(preflight.one_target_group_serves(cloud))
    _configuration(job)
    job.say("preflight", " · ".join(facts))


def start(job: Job, live: Serving, manifest: Release) -> str:
    """Registers the candidate and starts the rollout; its ARN. Undone if ECS refuses."""
    ecs = job.cloud.deployments
    before = job.cloud.clock.now()
    configuration = _configuration(job, _other_models(job, live, manifest))
    task_definition = ecs.register(clone(job.cloud, mould(job.cloud, live), manifest))
    try:
        ecs.update(task_definition, configuration)
    except LlmopsError:
        ecs.deregister(task_definition)
        raise
    try:
        arn = pin(job.cloud, task_definition, before - MARGIN, job.settings.poll_seconds)
    except KeyboardInterrupt:
        raise Undecided(
            f"Interrupted: ECS has been asked to roll out {manifest.id}, and goes on.",
            hint="Come back with: llmops status --watch",
        ) from None
    job.say("release", f"{live.release} -> {manifest.id} ({arn.rsplit('/', 1)[-1]})")
    return arn


def pin(cloud: Cloud, task_definition: str, after: datetime, poll_seconds: float) -> str:
    """The ARN of the deployment that runs the task definition; waits until ECS shows it."""
    for _ in range(PATIENCE):
        for each in cloud.deployments.deployments(after=after):
            if cloud.deployments.task_definition_of(each.target.arn) == task_definition:
                return each.arn
        cloud.clock.wait(poll_seconds)
    raise CloudError(
        f"ECS accepted {task_definition} but shows no deployment of it.",
        hint="llmops status shows what ECS does.",
    )


def _configuration(job: Job, other_models: bool = False) -> Mapping[str, Any]:
    live = service_of(job.cloud).configuration
    if job.quick:
        return strategy.quick(job.cloud, live)
    return strategy.canary(job.cloud, live, job.settings, other_models=other_models)


def _other_models(job: Job, live: Serving, manifest: Release) -> bool:
    """Whether the release runs other models than the live one, as far as both manifests tell."""
    before = published(live.release, job.cloud.artifacts)
    return before is not None and set(before.models) != set(manifest.models)


def _published(job: Job) -> Release:
    manifest = publish(
        job.version,
        project=job.project,
        artifacts=job.cloud.artifacts,
        registry=job.cloud.registry,
        base_image=job.settings.base_image,
        architecture=job.settings.service.architecture,
        warn=lambda text: job.say("publish", text, Mark.WARNING),
    )
    if job.cloud.registry.image(digest=manifest.image) is None:
        raise UsageError(
            f"The image of {manifest.id} ({manifest.image}) is no longer in the repository "
            f"{job.cloud.registry.name}.",
            hint="Publish the code again under a new version.",
        )
    job.say("publish", f"{manifest.id} is in the bucket and the repository")
    return manifest


def _already(job: Job, manifest: Release) -> Result:
    job.say("done", f"{manifest.id} already serves 100 % of the traffic")
    return Result(release=manifest.id, outcome=Outcome.ALREADY_SERVING)
