"""What the parts of the local cloud ask of each other, and nothing more.

The ECS engine asks for tasks, targets, weights, hooks and alarms; each Protocol below is one of
those. All calls are made from threads of one process and must be safe from any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Clock(Protocol):
    """The cloud's time: real time, run faster. Every timestamp the cloud shows comes from here."""

    speed: float

    def now(self) -> datetime:
        """The virtual time, timezone-aware, UTC."""

    def at(self, real_epoch_seconds: float) -> datetime:
        """The virtual time of a real instant (seconds since the epoch)."""

    def real_seconds(self, virtual_seconds: float) -> float:
        """How long a virtual duration really takes."""


class TaskStatus(StrEnum):
    """`lastStatus` of a task, as ECS names it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


@dataclass(frozen=True)
class TaskSpec:
    """One task to run: the registered task definition (API spelling) and who it belongs to."""

    task_arn: str
    cluster_arn: str
    service_name: str
    task_definition: Mapping[str, Any]


@dataclass(frozen=True)
class TaskView:
    """What is known of a task now; `address` is where its container port really listens."""

    task_arn: str
    status: TaskStatus
    address: tuple[str, int] | None = None
    pid: int | None = None
    exit_code: int | None = None
    stopped_reason: str = ""


class TaskRunner(Protocol):
    """Runs tasks as processes. `start` and `stop` return at once; `view` tells what happened."""

    def start(self, spec: TaskSpec) -> None: ...

    def stop(self, task_arn: str, reason: str) -> None:
        """SIGTERM, then SIGKILL after the container's stopTimeout (default 30 virtual seconds)."""

    def view(self, task_arn: str) -> TaskView: ...


class TargetHealth(StrEnum):
    """`TargetHealth.State`, as Elastic Load Balancing names it."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"
    DRAINING = "draining"


class Targets(Protocol):
    """Registers tasks with target groups of the load balancer."""

    def register(self, target_group_arn: str, address: tuple[str, int]) -> None: ...

    def deregister(self, target_group_arn: str, address: tuple[str, int]) -> None:
        """No new request goes there; it is `draining` until the last one in flight is answered,
        at most the group's deregistration delay, and then gone from `health`."""

    def health(self, target_group_arn: str) -> Mapping[tuple[str, int], TargetHealth]: ...


class Router(Protocol):
    """The forward weights of listener rules."""

    def weights(self, rule_arn: str) -> Mapping[str, int]:
        """Weight by target group ARN, 0 included. A rule that forwards to one group says 1 or the
        weight it has. Raises LookupError if there is no such rule."""

    def set_weights(self, rule_arn: str, weights: Mapping[str, int]) -> None:
        """Returns when the data plane routes by the new weights."""


class Functions(Protocol):
    """Invokes Lambda functions."""

    def invoke(self, function_arn: str, payload: Mapping[str, Any]) -> Future[Any]:
        """The function's parsed answer, or an exception whose text says why there is none."""


class Alarms(Protocol):
    """The state of CloudWatch alarms: OK, ALARM or INSUFFICIENT_DATA; absent if unknown."""

    def states(self, names: Sequence[str]) -> Mapping[str, str]: ...


class LogSink(Protocol):
    """Takes what a task or function prints (the awslogs driver)."""

    def line(self, group: str, stream: str, text: str, real_epoch_seconds: float) -> None: ...


class EventBus(Protocol):
    """Takes EventBridge events of AWS's own sources."""

    def put(
        self, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]
    ) -> None: ...


@dataclass(frozen=True)
class Switches:
    """What AWS does not document, each with its possible choices; see docs/local-cloud.md."""

    pre_production_stage_shown: str = "PRODUCTION_TRAFFIC_SHIFT"
    """`lifecycleStage` while a hook at PRE_PRODUCTION_TRAFFIC_SHIFT runs or pauses (behaviour 2):
    PRODUCTION_TRAFFIC_SHIFT, POST_TEST_TRAFFIC_SHIFT or PRE_PRODUCTION_TRAFFIC_SHIFT."""
    bake_before_second_pause: bool = True
    """Whether the canary bake comes before the second PRE_PRODUCTION hooks (behaviour 6)."""
    hook_failure_fails_rollback: bool = True
    """A hook that fails while rolling back makes ROLLBACK_FAILED (behaviour 14)."""
    alarm_without_rollback: str = "STOPPED"
    """Final status when an alarm fires and `rollback` is false: STOPPED or IGNORED (19)."""
    test_rule_after_success: str = "TARGET"
    """Where the test rule points after success: TARGET or SOURCE (22)."""
    superseded_status: str = "STOPPED"
    """Final status of a deployment overtaken by a newer one (25)."""
    first_rollback: str = "ROLLBACK_FAILED"
    """What a rollback of a first deployment ends as (1.7)."""
    eventually_consistent_lists: bool = False
    """Whether the first ListServiceDeployments after an update misses the new one (26)."""
    weights_lag: bool = False
    """Whether the weights in Describe lag one reading behind (23)."""
    reset_omitted_configuration: bool = False
    """Whether UpdateService with a partial deploymentConfiguration resets what it omits."""


@dataclass
class World:
    """Everything the ECS engine reaches outside itself."""

    clock: Clock
    tasks: TaskRunner
    targets: Targets
    router: Router
    functions: Functions
    alarms: Alarms
    events: EventBus
    switches: Switches = field(default_factory=Switches)
