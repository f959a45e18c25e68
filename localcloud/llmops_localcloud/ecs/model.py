"""What the engine remembers: services, revisions, deployments, hook runs and tasks. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from llmops_localcloud.ecs.stages import TERMINAL, Stage, Status, next_stage, next_status
from llmops_localcloud.ports import TargetHealth, TaskStatus, TaskView

Address = tuple[str, int]


@dataclass
class Task:
    """One task of a revision, as the scheduler sees it."""

    arn: str
    created_at: datetime
    view: TaskView
    target_group: str | None
    registered: Address | None = None
    """Where it is registered with its target group."""
    health: TargetHealth | None = None
    ever_healthy: bool = False
    leaving: bool = False
    """Deregistered on purpose: it is stopped once the last request in flight is answered."""
    stop_asked: bool = False
    reason: str = ""
    stop_code: str | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    stopped_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.stopped_at is not None

    @property
    def live(self) -> bool:
        return not (self.over or self.leaving or self.stop_asked)

    @property
    def ready(self) -> bool:
        """Runs, and its target group (if any) calls it healthy."""
        if not self.live or self.view.status is not TaskStatus.RUNNING:
            return False
        return self.target_group is None or self.health is TargetHealth.HEALTHY


@dataclass
class Revision:
    """An immutable service revision, and the tasks that run it."""

    arn: str
    task_definition: Mapping[str, Any]
    settings: Mapping[str, Any]
    """What of the service is frozen in it: load balancers, network, launch type, platform."""
    created_at: datetime
    target_group: str | None = None
    """The target group its tasks are registered with; roles swap with each deployment."""
    production_rule: str | None = None
    requested: int = 0
    retired: bool = False
    """It will never run again; without it a revision at size 0 is still the service's."""
    scaled: bool = False
    """It follows the service's desired count."""
    tasks: list[Task] = field(default_factory=list)
    failures: int = 0
    """Consecutive tasks that died before they were ready."""
    next_start: datetime | None = None

    @property
    def living(self) -> list[Task]:
        return [task for task in self.tasks if task.live]

    @property
    def gone(self) -> bool:
        return self.retired and all(task.over for task in self.tasks)

    def scale(self, count: int) -> None:
        """Brings it to the service's desired count, unless it is retired."""
        if not self.retired:
            self.requested, self.scaled = count, True

    def retire(self) -> None:
        self.requested, self.retired = 0, True

    @property
    def steady(self) -> bool:
        ready = sum(task.ready for task in self.tasks)
        return ready >= self.requested and len(self.living) == self.requested

    def counts(self) -> tuple[int, int]:
        """Tasks running and pending."""
        seen = [task.view.status for task in self.tasks if not task.over]
        return seen.count(TaskStatus.RUNNING), seen.count(TaskStatus.PENDING)


class HookStatus(StrEnum):
    """`status` in lifecycleHookDetails."""

    AWAITING_ACTION = "AWAITING_ACTION"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"


@dataclass
class HookRun:
    """One hook at one stage (and step) of one deployment."""

    hook_id: str
    configuration: Mapping[str, Any]
    number: int
    """Which of the configuration's hooks it is; its hookDetails live as long as the deployment."""
    stage: Stage
    status: HookStatus
    expires_at: datetime
    execution_id: str
    failure: str = ""
    """Why a function gave no usable answer."""

    @property
    def is_pause(self) -> bool:
        return bool(self.configuration["targetType"] == "PAUSE")

    @property
    def timeout_action(self) -> str:
        return str(self.configuration["timeoutConfiguration"]["action"])

    @property
    def open(self) -> bool:
        return self.status in {HookStatus.AWAITING_ACTION, HookStatus.IN_PROGRESS}


@dataclass
class Traffic:
    """Percent of a rule's traffic by service revision."""

    production: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)

    def copy(self) -> Traffic:
        return Traffic(dict(self.production), dict(self.test))


@dataclass
class Rollback:
    """Why, since when and to what a deployment rolls back."""

    reason: str
    started_at: datetime
    revision_arn: str | None


@dataclass
class Deployment:
    """One service deployment."""

    arn: str
    cluster_arn: str
    service_arn: str
    configuration: Mapping[str, Any]
    sources: list[Revision]
    target: Revision
    stable: Revision | None
    """The revision that serves before it, and again after a rollback; None for a first one."""
    created_at: datetime
    updated_at: datetime
    status: Status = Status.PENDING
    status_reason: str = ""
    stage: Stage | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stopped_at: datetime | None = None
    rollback: Rollback | None = None
    hooks: list[HookRun] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    previous_traffic: Traffic = field(default_factory=Traffic)
    """What Describe showed last: what it shows now when weights lag."""
    alarm_status: str = "DISABLED"
    triggered_alarms: list[str] = field(default_factory=list)
    breaker_status: str = "DISABLED"
    breaker_failures: int = 0
    breaker_threshold: int = 0
    final_counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    hidden_from_lists: bool = False
    committed: bool = False
    """Past the point of no return: the sources are being stopped (CLEAN_UP)."""

    @property
    def over(self) -> bool:
        return self.status in TERMINAL

    @property
    def rolling(self) -> bool:
        return bool(self.configuration["strategy"] == "ROLLING")

    @property
    def reconciles(self) -> bool:
        return not self.rolling and len(self.sources) > 1

    def move(self, status: Status, at: datetime) -> None:
        """Raises IllegalMoveError, and changes nothing, if the table has no such move."""
        self.status = next_status(self.status, status)
        self.updated_at = at
        if status is Status.IN_PROGRESS:
            self.started_at = at
        if status is Status.STOPPED:
            self.stopped_at = at
        if self.over:
            self.finished_at = at

    def enter(self, stage: Stage, at: datetime) -> None:
        """Raises IllegalMoveError, and changes nothing, if the table has no such move."""
        self.stage = next_stage(self.stage, stage)
        self.updated_at = at


@dataclass
class Service:
    """A service: what it was told, and what runs for it."""

    arn: str
    name: str
    cluster_arn: str
    created_at: datetime
    desired: int
    task_definition: str
    settings: dict[str, Any]
    """API parameters of the service itself, as sent (load balancers, network, ...)."""
    configuration: dict[str, Any]
    """The complete deploymentConfiguration."""
    status: str = "ACTIVE"
    active: Revision | None = None
    """The revision of the last deployment that reached CLEAN_UP."""
    revisions: list[Revision] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    events: list[tuple[str, datetime, str]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)

    @property
    def ongoing(self) -> Deployment | None:
        """The deployment under way, if any."""
        last = self.deployments[-1] if self.deployments else None
        return last if last and not last.over else None

    @property
    def running_revisions(self) -> list[Revision]:
        return [revision for revision in self.revisions if not revision.gone]


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
