"""The engine: everything it knows under one lock, and the tick that moves it (see the package)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmops_localcloud.ecs.crew import DeploymentCrew
from llmops_localcloud.ecs.definitions import Definitions
from llmops_localcloud.ecs.desk import Desk, Seen, Wanted, observe
from llmops_localcloud.ecs.events import hook_changed
from llmops_localcloud.ecs.guard import Trip
from llmops_localcloud.ecs.hooks import because
from llmops_localcloud.ecs.identifiers import Place
from llmops_localcloud.ecs.machine import RollBack, Script, Wait, deploy
from llmops_localcloud.ecs.model import Deployment, HookRun, Revision, Rollback, Service
from llmops_localcloud.ecs.scheduler import Scheduler
from llmops_localcloud.ecs.stages import Status
from llmops_localcloud.ecs.switches import check
from llmops_localcloud.ports import World

log = logging.getLogger(__name__)

OPERATOR_REASON = because("StopServiceDeployment was called with stopType ROLLBACK.")


@dataclass
class Run:
    """A deployment under way: its script, the wait it stands at, and who carries it out."""

    service: Service
    deployment: Deployment
    crew: DeploymentCrew
    script: Script
    wait: Wait


class Engine:
    """All services of one account and region.

    `lock` guards everything reachable from here; `changed` is notified when a deployment ends or a
    service is gone. No port is called while the lock is held.
    """

    def __init__(self, world: World, place: Place) -> None:
        check(world.switches)
        self.world, self.place = world, place
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.desk = Desk(world)
        self.definitions = Definitions(place)
        self.services: dict[tuple[str, str], Service] = {}
        self.scheduler = Scheduler(self.desk, place)
        self._runs: dict[str, Run] = {}
        self._stopping = threading.Event()
        self._ticking = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self, every: float) -> None:
        """Ticks in a thread of its own, every so many real seconds, until `close`."""
        self._thread = threading.Thread(
            target=self._tick_on, args=(every,), name="ecs-engine", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops ticking; tasks are the task runner's to kill."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def tick(self) -> bool:
        """One turn (see the package's docstring); whether anything was asked of the outside."""
        with self._ticking:
            with self.lock:
                wanted = self._wanted()
            seen = observe(self.world, wanted)
            with self.lock:
                self._act(seen)
                asked = self.desk.take()
            for ticket in asked:
                ticket.run(self.world)
            return bool(asked)

    def launch(self, service: Service, deployment: Deployment) -> None:
        """Takes the deployment up; it is PENDING until the next tick. Call under the lock."""
        service.deployments.append(deployment)
        crew = DeploymentCrew(self.desk, service, deployment)
        script = deploy(crew, rolling=deployment.rolling)
        self._runs[deployment.arn] = Run(service, deployment, crew, script, next(script))

    def supersede(self, deployment: Deployment) -> None:
        """Ends a deployment because a newer one, or the service's end, overtakes it (25)."""
        run = self._runs.pop(deployment.arn)
        run.script.close()
        self.desk.now = self.world.clock.now()
        run.crew.abandon_hooks()
        if deployment.committed:
            run.crew.move(Status.SUCCESSFUL)
        else:
            self._end_overtaken(run)
        self._freeze(deployment)

    def roll_back(self, deployment: Deployment) -> None:
        """Marks the operator's wish; the next tick turns the deployment round."""
        self.desk.now = self.world.clock.now()
        deployment.status_reason = OPERATOR_REASON
        self._runs[deployment.arn].crew.move(Status.ROLLBACK_REQUESTED)

    def announce_hook(self, deployment: Deployment, hook: HookRun) -> None:
        """Sends the event of a hook whose status an operator changed."""
        self.desk.now = self.world.clock.now()
        hook_changed(self.desk, deployment, hook)

    def wait_until(self, done: Callable[[], bool], virtual_seconds: float) -> bool:
        """Blocks the caller, without keeping the lock, until `done()` or so much cloud time."""
        deadline = time.monotonic() + self.world.clock.real_seconds(virtual_seconds)
        with self.changed:
            while not done():
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping.is_set():
                    return False
                self.changed.wait(min(left, 1.0))
            return True

    def revisions(self) -> Iterator[tuple[Service, Revision]]:
        for service in self.services.values():
            for revision in service.revisions:
                yield service, revision

    def deployments(self) -> Iterator[Deployment]:
        for service in self.services.values():
            yield from service.deployments

    def _tick_on(self, every: float) -> None:
        while not self._stopping.wait(every):
            try:
                self.tick()
            except Exception:
                log.exception("a tick of the ECS engine failed; the next one goes on")

    def _wanted(self) -> Wanted:
        tasks = {
            task.arn: task.target_group
            for _, revision in self.revisions()
            for task in revision.tasks
            if not task.over
        }
        for run in self._runs.values():
            run.crew.observed = True
        alarms = {name for run in self._runs.values() for name in run.crew.guard.alarm_names}
        groups = frozenset(group for group in tasks.values() if group)
        return Wanted(frozenset(tasks), groups, frozenset(alarms))

    def _act(self, seen: Seen) -> None:
        self.desk.seen, self.desk.now = seen, self.world.clock.now()
        for service in self.services.values():
            self.scheduler.run(service)
        for run in list(self._runs.values()):
            self._advance(run)
        for service in self.services.values():
            self._retire(service)

    def _advance(self, run: Run) -> None:
        trip = self._trip(run)
        if trip is not None and not trip.rolls_back:
            self._halt(run, trip.reason)
            return
        if trip is not None:
            self._resume(run, RollBack(trip.reason))
        while not run.deployment.over and self._ready(run):
            self._resume(run)
        if run.deployment.over:
            self._runs.pop(run.deployment.arn, None)
            self._freeze(run.deployment)

    def _trip(self, run: Run) -> Trip | None:
        deployment = run.deployment
        if deployment.status is Status.ROLLBACK_REQUESTED:
            return Trip(deployment.status_reason, rolls_back=True)
        if deployment.status is not Status.IN_PROGRESS or deployment.committed:
            return None
        return run.crew.guard.check(self.desk.seen.alarms, self.desk.now)

    def _ready(self, run: Run) -> bool:
        try:
            return run.wait()
        except RollBack as cause:
            self._resume(run, cause)
            return False

    def _resume(self, run: Run, cause: RollBack | None = None) -> None:
        try:
            run.wait = run.script.throw(cause) if cause else next(run.script)
        except StopIteration:
            run.wait = lambda: False

    def _halt(self, run: Run, reason: str) -> None:
        """STOPPED without a rollback: weights and tasks stay as they are."""
        run.script.close()
        run.crew.guard.end()
        run.crew.abandon_hooks()
        run.deployment.status_reason = reason
        run.crew.move(Status.STOP_REQUESTED)
        run.crew.move(Status.STOPPED)
        self._runs.pop(run.deployment.arn)
        self._freeze(run.deployment)

    def _end_overtaken(self, run: Run) -> None:
        deployment, wanted = run.deployment, Status(self.world.switches.superseded_status)
        reason = "Service deployment stopped because a newer service deployment replaced it."
        deployment.status_reason = reason
        if wanted is Status.STOPPED:
            run.crew.move(Status.STOP_REQUESTED)
        elif deployment.status is not Status.ROLLBACK_IN_PROGRESS:
            if deployment.status is not Status.ROLLBACK_REQUESTED:
                run.crew.move(Status.ROLLBACK_REQUESTED)
            back_to = deployment.stable.arn if deployment.stable else None
            deployment.rollback = Rollback(reason, self.desk.now, back_to)
            run.crew.move(Status.ROLLBACK_IN_PROGRESS)
        run.crew.move(wanted)

    def _freeze(self, deployment: Deployment) -> None:
        """What Describe shows of an ended deployment does not change any more."""
        for revision in (*deployment.sources, deployment.target):
            deployment.final_counts[revision.arn] = (revision.requested, *revision.counts())
        self.changed.notify_all()

    def _retire(self, service: Service) -> None:
        if service.status == "DRAINING" and all(each.gone for each in service.revisions):
            service.status = "INACTIVE"
            self.changed.notify_all()
