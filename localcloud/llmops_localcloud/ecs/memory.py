"""In-memory twins of the ports the ECS engine needs, driven by hand: for tests of what deploys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

from llmops_localcloud.ports import TargetHealth, TaskSpec, TaskStatus, TaskView

BLUE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/blue/1111111111111111"
GREEN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/green/2222222222222222"
RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/lb/1/2/"
PRODUCTION, TEST = RULE + "production", RULE + "test"
GATE = "arn:aws:lambda:us-east-1:123456789012:function:gate"


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def at(self, real_epoch_seconds: float) -> datetime:
        return datetime.fromtimestamp(real_epoch_seconds, UTC)

    def real_seconds(self, virtual_seconds: float) -> float:
        return min(virtual_seconds / self.speed, 10.0)

    def move(self, **duration: float) -> None:
        self._now += timedelta(**duration)


class MemoryTasks:
    """Every started task runs at the next look, unless `refuse` says it dies."""

    def __init__(self) -> None:
        self.specs: dict[str, TaskSpec] = {}
        self.views: dict[str, TaskView] = {}
        self.refuse: Callable[[TaskSpec], bool] = lambda spec: False

    def start(self, spec: TaskSpec) -> None:
        number = len(self.specs)
        self.specs[spec.task_arn] = spec
        if self.refuse(spec):
            self.views[spec.task_arn] = TaskView(
                spec.task_arn, TaskStatus.STOPPED, exit_code=1, stopped_reason="it crashed"
            )
            return
        address = ("127.0.0.1", 20000 + number)
        self.views[spec.task_arn] = TaskView(
            spec.task_arn, TaskStatus.RUNNING, address=address, pid=1000 + number
        )

    def stop(self, task_arn: str, reason: str) -> None:
        self.end(task_arn, 0, reason)

    def end(self, task_arn: str, exit_code: int, reason: str = "") -> None:
        self.views[task_arn] = TaskView(
            task_arn, TaskStatus.STOPPED, exit_code=exit_code, stopped_reason=reason
        )

    def view(self, task_arn: str) -> TaskView:
        return self.views[task_arn]

    def running(self) -> list[str]:
        return [arn for arn, view in self.views.items() if view.status is TaskStatus.RUNNING]


class MemoryTargets:
    """Healthy as soon as registered, drained as soon as deregistered, unless told otherwise."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[tuple[str, int], TargetHealth]] = {BLUE: {}, GREEN: {}}
        self.first_health = TargetHealth.HEALTHY
        self.holds_draining = False

    def register(self, target_group_arn: str, address: tuple[str, int]) -> None:
        self.groups[target_group_arn][address] = self.first_health

    def deregister(self, target_group_arn: str, address: tuple[str, int]) -> None:
        if self.holds_draining and address in self.groups[target_group_arn]:
            self.groups[target_group_arn][address] = TargetHealth.DRAINING
        else:
            self.groups[target_group_arn].pop(address, None)

    def health(self, target_group_arn: str) -> Mapping[tuple[str, int], TargetHealth]:
        return dict(self.groups[target_group_arn])

    def set_all(self, group: str, health: TargetHealth) -> None:
        self.groups[group] = dict.fromkeys(self.groups[group], health)

    def finish_draining(self) -> None:
        self.holds_draining = False
        for targets in self.groups.values():
            for address in [each for each, state in targets.items() if state == "draining"]:
                del targets[address]


class MemoryRouter:
    """Rules as dictionaries, with every change of weights on record."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, int]] = {PRODUCTION: {BLUE: 1, GREEN: 0}, TEST: {BLUE: 1}}
        self.changes: list[tuple[str, dict[str, int]]] = []

    def weights(self, rule_arn: str) -> Mapping[str, int]:
        if rule_arn not in self.rules:
            raise LookupError(f"no rule {rule_arn}")
        return dict(self.rules[rule_arn])

    def set_weights(self, rule_arn: str, weights: Mapping[str, int]) -> None:
        self.weights(rule_arn)
        self.rules[rule_arn] = dict(weights)
        self.changes.append((rule_arn, dict(weights)))

    def production(self) -> list[dict[str, int]]:
        return [weights for rule, weights in self.changes if rule == PRODUCTION]


class MemoryFunctions:
    """Answers SUCCEEDED, unless `script` answers otherwise; None is an answer that never comes."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.script: Callable[[Mapping[str, Any]], Any] = lambda payload: {
            "hookStatus": "SUCCEEDED"
        }

    def invoke(self, function_arn: str, payload: Mapping[str, Any]) -> Future[Any]:
        self.calls.append({"function": function_arn, **payload})
        answer = self.script(payload)
        future: Future[Any] = Future()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not NEVER:
            future.set_result(answer)
        return future

    def stages(self) -> list[str]:
        return [call["lifecycleStage"] for call in self.calls]


NEVER = object()


class MemoryAlarms:
    def __init__(self) -> None:
        self.now: dict[str, str] = {}

    def states(self, names: Sequence[str]) -> Mapping[str, str]:
        return {name: self.now[name] for name in names if name in self.now}


class MemoryEvents:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []

    def put(
        self, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]
    ) -> None:
        self.sent.append((source, detail_type, detail))

    def names(self, detail_type: str) -> list[str]:
        return [detail["eventName"] for _, kind, detail in self.sent if kind == detail_type]

    def last(self, name: str) -> Mapping[str, Any]:
        """The detail of the last event of that eventName."""
        return [detail for _, _, detail in self.sent if detail["eventName"] == name][-1]
