"""Keeps each revision at its size: starts, registers, replaces, drains and stops tasks."""

from __future__ import annotations

from datetime import timedelta

from llmops_localcloud.ecs.desk import Desk
from llmops_localcloud.ecs.identifiers import Place, last_part
from llmops_localcloud.ecs.model import Revision, Service, Task
from llmops_localcloud.ports import TargetHealth, TaskSpec, TaskStatus, TaskView

STARTUP_SECONDS = 30
"""Real seconds a task that was never healthy is given before its health check counts, if the
service asks for less: a process starts in real time, however fast the cloud's clock runs."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 5, 960
"""ECS throttles tasks that keep failing to start; the exact delays are not documented."""

KEPT_STOPPED_TASKS = 100
"""How many stopped tasks of a revision DescribeTasks still knows (AWS: those of an hour)."""


class Scheduler:
    """Acts on one service per call; asks the desk for everything outside."""

    def __init__(self, desk: Desk, place: Place) -> None:
        self._desk, self._place = desk, place

    def run(self, service: Service) -> None:
        for revision in service.revisions:
            for task in revision.tasks:
                self._follow(task, revision, service)
            self._resize(service, revision)
            self._forget(revision)

    def stop_task(self, task: Task, reason: str) -> None:
        """StopTask: out of its target group first, then stopped; the service replaces it."""
        self._leave(task, reason or "Task stopped by user", "UserInitiated")

    def _follow(self, task: Task, revision: Revision, service: Service) -> None:
        view = self._desk.seen.tasks.get(task.arn)
        if task.over or view is None:
            return
        self._take(task, view, revision)
        if task.over:
            return
        self._read_health(task, revision)
        if task.leaving:
            self._stop_when_drained(task)
        elif task.live and view.status is TaskStatus.RUNNING:
            self._register(task)
            self._replace_unhealthy(task, service)

    def _take(self, task: Task, view: TaskView, revision: Revision) -> None:
        task.view = view
        if view.status is TaskStatus.RUNNING and task.started_at is None:
            task.started_at = self._desk.now
            if task.target_group is None:
                revision.failures = 0
        if view.status is TaskStatus.STOPPED:
            self._bury(task, view, revision)

    def _bury(self, task: Task, view: TaskView, revision: Revision) -> None:
        if task.registered is not None:
            self._deregister(task)
        died = task.live
        task.stopped_at = self._desk.now
        task.stopping_at = task.stopping_at or self._desk.now
        if died:
            task.stop_code = "EssentialContainerExited" if task.started_at else "TaskFailedToStart"
            task.reason = view.stopped_reason or "Essential container in task exited"
            if not task.ever_healthy:
                self._count_failure(revision)

    def _count_failure(self, revision: Revision) -> None:
        revision.failures += 1
        delay = FIRST_RETRY_SECONDS * 2 ** (min(revision.failures, 10) - 1)
        revision.next_start = self._desk.now + timedelta(seconds=min(delay, LONGEST_RETRY_SECONDS))

    def _read_health(self, task: Task, revision: Revision) -> None:
        health = self._desk.seen.health.get(task.target_group or "")
        if task.registered is None or health is None:
            return
        task.health = health.get(task.registered)
        if task.health is TargetHealth.HEALTHY:
            task.ever_healthy = True
            revision.failures = 0

    def _register(self, task: Task) -> None:
        group, address = task.target_group, task.view.address
        known = self._desk.seen.health.get(group or "")
        if group is None or address is None or known is None:
            return
        if task.registered is None or address not in known:
            task.registered = address
            self._desk.ask(lambda world: world.targets.register(group, address))

    def _replace_unhealthy(self, task: Task, service: Service) -> None:
        if task.health is not TargetHealth.UNHEALTHY or task.started_at is None:
            return
        grace = float(service.settings.get("healthCheckGracePeriodSeconds") or 0)
        starting = max(grace, STARTUP_SECONDS) * self._desk.world.clock.speed
        allowed = timedelta(seconds=grace if task.ever_healthy else starting)
        if self._desk.now - task.started_at >= allowed:
            reason = f"Task failed ELB health checks in (target-group {task.target_group})"
            self._leave(task, reason, "ServiceSchedulerInitiated")

    def _leave(self, task: Task, reason: str, code: str) -> None:
        if not task.live:
            return
        task.leaving, task.reason, task.stop_code = True, reason, code
        task.stopping_at = self._desk.now
        if task.registered is None:
            self._stop(task)
        else:
            self._deregister(task)

    def _deregister(self, task: Task) -> None:
        group, address = task.target_group, task.registered
        assert group is not None and address is not None
        self._desk.ask(lambda world: world.targets.deregister(group, address))

    def _stop_when_drained(self, task: Task) -> None:
        health = self._desk.seen.health.get(task.target_group or "")
        if task.registered is None or health is None or task.stop_asked:
            return
        state = health.get(task.registered)
        if state is None:
            task.registered = None
            self._stop(task)
        elif state is not TargetHealth.DRAINING:
            self._deregister(task)

    def _stop(self, task: Task) -> None:
        task.stop_asked = True
        self._desk.ask(lambda world: world.tasks.stop(task.arn, task.reason))

    def _resize(self, service: Service, revision: Revision) -> None:
        living = revision.living
        for task in living[revision.requested :]:
            reason = f"Scaling activity initiated by (deployment {deployment_id(revision)})"
            self._leave(task, reason, "ServiceSchedulerInitiated")
        if revision.next_start is not None and self._desk.now < revision.next_start:
            return
        for _ in range(revision.requested - len(living)):
            self._start(service, revision)

    def _start(self, service: Service, revision: Revision) -> None:
        arn = self._place.task(last_part(service.cluster_arn))
        view = TaskView(arn, TaskStatus.PENDING)
        revision.tasks.append(Task(arn, self._desk.now, view, revision.target_group))
        spec = TaskSpec(arn, service.cluster_arn, service.name, revision.task_definition)
        self._desk.ask(lambda world: world.tasks.start(spec))

    def _forget(self, revision: Revision) -> None:
        over = [task for task in revision.tasks if task.over]
        for task in over[: max(0, len(over) - KEPT_STOPPED_TASKS)]:
            revision.tasks.remove(task)


def deployment_id(revision: Revision) -> str:
    """The id of a revision in the `deployments` of a service."""
    return f"ecs-svc/{last_part(revision.arn)}"
