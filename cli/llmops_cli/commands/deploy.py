"""`llmops deploy`"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from llmops_cli import options
from llmops_cli.render import Screen
from llmops_runbooks import assembly, state
from llmops_runbooks.deploy import Deployment, Plan, StackEvent
from llmops_runbooks.deploy import deploy as run
from llmops_runbooks.narration import Event, Mark, Tell
from llmops_runbooks.settings import Environment
from llmops_runbooks.watch import TASKS

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Execute every plan without asking.")]


class Progress:
    """Tells what happens to the stacks, a line per step and per finished resource."""

    def __init__(self, screen: Screen, tell: Tell) -> None:
        self._screen = screen
        self._pass_on = tell
        self._failures = 0

    def planned(self, plan: Plan) -> None:
        counts = Counter(change.action for change in plan.changes)
        text = ", ".join(f"{count} to {action.lower()}" for action, count in counts.items())
        self._tell("plan", f"{plan.stack}: {text}")
        for change in plan.changes if plan.kind == "UPDATE" else ():
            replaced = " (replaced)" if change.replacement == "True" else ""
            self._screen.line(
                f"    {change.action:<7} {change.resource_type} {change.logical_id}{replaced}"
            )

    def uploaded(self, stack: str, count: int) -> None:
        if count:
            self._tell("publish", f"{stack}: {count} files uploaded")

    def event(self, stack: str, event: StackEvent) -> None:
        if event.status.endswith("_FAILED"):
            self._tell("event", f"{event.logical_id} {event.status}: {event.reason}", Mark.FAILED)
        elif event.reason and "not emulated" in event.reason:
            self._tell("event", f"{event.resource_type}: {event.reason}", Mark.WARNING)

    def failing(self, reasons: list[str]) -> None:
        if len(reasons) > self._failures:
            self._failures = len(reasons)
            self._tell(TASKS, f"{len(reasons)} ended by themselves: {reasons[-1]}", Mark.WARNING)

    def finished(self, stack: str, changed: bool) -> None:
        self._tell("stack", f"{stack} {'is complete' if changed else 'is unchanged'}")

    def _tell(self, step: str, text: str, mark: Mark = Mark.DONE) -> None:
        self._pass_on(Event(step, text, mark))


def deploy(env: options.Env = None, yes: Yes = False, json: options.Json = False) -> None:
    """Bring the infrastructure of an environment to what the project says.

    Synthesizes with the project's app.py, publishes assets, and for each stack makes a change
    set, shows it, checks that it breaks nothing live, asks, and executes it.
    """
    settings = options.environment(env)
    screen = Screen(in_json=json)
    folder = synthesize(settings, options.project(), screen)
    done = bring(settings, options.project(), folder, screen, confirm=lambda _: yes or _asks())
    screen.finish(done.json(), lines(done))


def lines(done: Deployment) -> list[str]:
    """The end of a deploy in text."""
    told = [f"service   {done.service_url}", f"release   {done.release}"]
    if done.waiting_task_definition and done.release:
        version = done.release.rsplit("-", 1)[0]
        told.append(
            f"waiting   {done.waiting_task_definition} goes out with the next release; "
            f"now: llmops release {version}"
        )
    return told


def synthesize(settings: Environment, project: Path, screen: Screen) -> Path:
    """The cloud assembly of an environment; the last one, if nothing changed since."""
    out = state.folder() / "cdk.out" / settings.name
    made = assembly.synthesize(project, settings.name, out)
    text = "templates and assets made by the CDK" if made else "unchanged since the last time"
    screen.tell(Event("synth", text))
    return out


def bring(
    settings: Environment,
    project: Path,
    folder: Path,
    screen: Screen,
    *,
    confirm: Callable[[Plan], bool],
    tell: Tell | None = None,
) -> Deployment:
    """Deploys an assembly; what the environment runs afterwards. `tell` gets the events."""
    from llmops_runbooks.aws.infrastructure import Infrastructure
    from llmops_runbooks.candidate import mould
    from llmops_runbooks.serving import serving

    live = Infrastructure(settings, project)
    counts = run(
        assembly.read(folder, account=settings.account, region=settings.region),
        live.stacks,
        live,
        Progress(screen, tell or screen.tell),
        release_parameters=lambda: live.release_parameters(
            lambda text: screen.tell(Event("publish", text, Mark.WARNING))
        ),
        confirm=confirm,
    )
    done = Deployment(settings.name, counts)
    cloud = live.cloud()
    if cloud is not None:
        now = serving(cloud)
        newest = str(mould(cloud, now)["taskDefinitionArn"])
        done.service_url, done.release = cloud.coordinates.service_url, now.release
        done.waiting_task_definition = newest.rsplit("/", 1)[-1] if newest != now.arn else None
    return done


def _asks() -> bool:
    return typer.confirm("Execute this plan?", err=True)
