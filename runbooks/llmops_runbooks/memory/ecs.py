"""ECS in memory: what a watcher can see of service deployments, step by step of a virtual clock.

Each deployment is a script (a generator) that moves by one visible moment whenever the clock is
waited on. It plays what the reference numbers in section 6: stages that vanish between two looks
(31), PAUSE hooks with a new id per step (7, 9), the stage that has no name (2), rollback by gate,
alarm, time-out and person (12, 16, 19), lists that are late (26), weights that lag (23).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.errors import CloudError
from llmops_runbooks.memory.gate import ScriptedGate
from llmops_runbooks.memory.stores import MemoryAlarms, MemoryClock, MemoryRouting
from llmops_runbooks.ports import Deployment, Hook, RevisionView, ServiceView

ARN = "arn:aws:ecs:us-east-1:123456789012"
Script = Iterator[None]


@dataclass
class Behaviour:
    """What AWS leaves open, and how long things take, in looks of the watcher."""

    pause_stage: str = "PRODUCTION_TRAFFIC_SHIFT"
    """What `lifecycleStage` reads at a PRE_PRODUCTION_TRAFFIC_SHIFT pause (reference 6.2)."""
    vanishing: frozenset[str] = frozenset()
    """Stages that are over before anybody looks."""
    lists_late: int = 1
    """How many lists after an update do not show the new deployment yet."""
    canary_looks: int = 2
    bake_looks: int = 2
    pause_looks: int = 1000
    """Looks after which a pause times out."""
    rollback_fails: bool = False
    refuses_update: bool = False
    unreachable_looks: int = 0
    """How many looks at a deployment fail, as if the network were gone."""


@dataclass
class _Rollout:
    view: Deployment
    script: Script
    hidden: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    ignores_alarms: bool = False


class MemoryEcs:
    """One service, its revisions, its task definitions and its deployments."""

    def __init__(
        self,
        clock: MemoryClock,
        routing: MemoryRouting,
        alarms: MemoryAlarms,
        gate: ScriptedGate,
        *,
        coordinates: Coordinates,
        behaviour: Behaviour,
    ) -> None:
        self._clock, self._routing, self._alarms = clock, routing, alarms
        self.gate, self._coordinates = gate, coordinates
        self.behaviour = behaviour
        self.definitions: dict[str, dict[str, Any]] = {}
        self.revisions: dict[str, str] = {}
        self.configuration: dict[str, Any] = {}
        self.updates: list[tuple[str, Mapping[str, Any]]] = []
        self.failures: list[str] = []
        """Why tasks of the candidate ended by themselves."""
        self._rollouts: list[_Rollout] = []
        self._live = ""
        clock.listeners.append(self._tick)

    # what a test sets up

    def create(self, definition: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
        """The service as CloudFormation leaves it: one finished first deployment."""
        self.configuration = dict(configuration)
        self._live = self._revision(self.register(definition))
        view = replace(
            self._new(self._live), status="SUCCESSFUL", source=None, finished_at=self._clock.now()
        )
        self._rollouts.append(_Rollout(view, iter(())))

    def delete(self) -> None:
        """The service is gone."""
        self._live = ""

    def forget_hooks(self) -> None:
        """No deployment remembers a lifecycle hook any more."""
        for rollout in self._rollouts:
            rollout.view = replace(rollout.view, configuration={})

    # the port

    def service(self) -> ServiceView | None:
        if not self._live:
            return None
        newest = self._rollouts[-1].view
        shown = {self._live: RevisionView(self._live, requested=2, running=2)}
        if newest.under_way:
            shown[newest.target.arn] = newest.target
        latest = self.revisions[newest.target.arn]
        return ServiceView(latest, 2, 2, deepcopy(self.configuration), tuple(shown.values()))

    def deployments(self, *, after: datetime | None = None, limit: int = 20) -> list[Deployment]:
        found = []
        for rollout in reversed(self._rollouts):
            if rollout.hidden > 0:
                rollout.hidden -= 1
            elif after is None or _time(rollout.view.created_at) > after:
                found.append(rollout.view)
        return found[:limit]

    def deployment(self, arn: str) -> Deployment | None:
        if self.behaviour.unreachable_looks > 0:
            self.behaviour.unreachable_looks -= 1
            raise CloudError("AWS cannot be reached.")
        return next((each.view for each in self._rollouts if each.view.arn == arn), None)

    def task_definition_of(self, revision: str) -> str | None:
        return self.revisions.get(revision)

    def task_definition(self, arn: str) -> Mapping[str, Any]:
        if arn in self.definitions:
            return deepcopy(self.definitions[arn])
        family = [each for each in self.definitions.values() if each["family"] == arn]
        return deepcopy([each for each in family if each["status"] == "ACTIVE"][-1])

    def register(self, definition: Mapping[str, Any]) -> str:
        number = len(self.definitions) + 1
        arn = f"{ARN}:task-definition/{definition['family']}:{number}"
        shown = {"taskDefinitionArn": arn, "revision": number, "status": "ACTIVE"}
        self.definitions[arn] = {**deepcopy(dict(definition)), **shown}
        return arn

    def failed_tasks(self, task_definition: str = "") -> list[str]:
        return list(self.failures)

    def deregister(self, arn: str) -> None:
        self.definitions[arn]["status"] = "INACTIVE"

    def update(self, task_definition: str, configuration: Mapping[str, Any]) -> None:
        if self.behaviour.refuses_update:
            raise CloudError("AWS refused UpdateService: you may not (AccessDeniedException).")
        self.updates.append((task_definition, configuration))
        self.configuration = deepcopy(dict(configuration))
        rollout = _Rollout(self._new(self._revision(task_definition)), iter(()))
        rollout.hidden = self.behaviour.lists_late
        rollout.ignores_alarms = "ALARM" in self._alarms.state.values()
        rollout.script = self._forward(rollout)
        self._rollouts.append(rollout)

    def resume(self, arn: str, hook_id: str, action: Literal["CONTINUE", "ROLLBACK"]) -> bool:
        rollout = self._find(arn)
        if hook_id not in [hook.hook_id for hook in rollout.view.pauses]:
            return False
        rollout.answers[hook_id] = action
        return True

    def stop(self, arn: str) -> bool:
        rollout = self._find(arn)
        if not rollout.view.under_way:
            return False
        if rollout.view.status in {"PENDING", "IN_PROGRESS"}:
            self._show(rollout, status="ROLLBACK_REQUESTED", stopped_at=self._clock.now())
            rollout.script = self._back(rollout, "Service deployment rollback was requested.")
        return True

    # the engine

    def _tick(self) -> None:
        for rollout in self._rollouts:
            if rollout.view.under_way:
                self._watch_alarms(rollout)
                next(rollout.script, None)

    def _forward(self, rollout: _Rollout) -> Script:
        settings = rollout.view.configuration
        self._show(rollout, status="IN_PROGRESS", started_at=self._clock.now())
        for stage in ("SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT"):
            yield from self._stage(rollout, stage)
        self._show(rollout, target=replace(rollout.view.target, running=2))
        yield from self._golden(rollout)
        yield from self._hooks(rollout)
        self._shift(rollout, float(settings["canaryConfiguration"]["canaryPercent"]))
        for _ in range(self.behaviour.canary_looks):
            yield from self._stage(rollout, "PRODUCTION_TRAFFIC_SHIFT")
        yield from self._hooks(rollout)
        self._shift(rollout, 100.0)
        for _ in range(self.behaviour.bake_looks):
            yield from self._stage(rollout, "BAKE_TIME")
        yield from self._stage(rollout, "CLEAN_UP")
        self._live = rollout.view.target.arn
        self._show(rollout, status="SUCCESSFUL", finished_at=self._clock.now())

    def _stage(self, rollout: _Rollout, stage: str) -> Script:
        self._show(rollout, stage=stage)
        if stage not in self.behaviour.vanishing:
            yield

    def _hooks(self, rollout: _Rollout) -> Script:
        """The gate and the PAUSE of one shift step, in parallel: all must pass."""
        self._show(rollout, stage=self.behaviour.pause_stage)
        kinds = [hook["targetType"] for hook in rollout.view.configuration["lifecycleHooks"]]
        if "AWS_LAMBDA" in kinds:
            while (said := self._ask_gate(rollout)) == "IN_PROGRESS":
                yield
            if said == "FAILED":
                yield from self._back(rollout, _hook_failed(self._coordinates.gate_function_arn))
                return
        if "PAUSE" in kinds:
            yield from self._pause(rollout)
        self._show(rollout, hooks=())

    def _golden(self, rollout: _Rollout) -> Script:
        """The gate at the stage where the test listener forwards to the target."""
        stage = "POST_TEST_TRAFFIC_SHIFT"
        hooks = rollout.view.configuration["lifecycleHooks"]
        if not any(stage in hook["lifecycleStages"] for hook in hooks):
            return
        self._show(rollout, stage=stage)
        while (said := self.gate.ask_golden(rollout.view.id)) == "IN_PROGRESS":
            yield
        if said == "FAILED":
            yield from self._back(rollout, _hook_failed(self._coordinates.gate_function_arn, stage))

    def _ask_gate(self, rollout: _Rollout) -> str:
        said = self.gate.ask(rollout.view.id, rollout.view.target.weight)
        self._show(rollout, hooks=(Hook("ecs-aws_lambda-1", "AWS_LAMBDA", said),))
        return said

    def _pause(self, rollout: _Rollout) -> Script:
        hook = Hook(f"ecs-pause-{len(rollout.answers) + 1:043d}", "PAUSE", "AWAITING_ACTION")
        self._show(rollout, hooks=(hook,))
        for _ in range(self.behaviour.pause_looks):
            yield
            if hook.hook_id in rollout.answers:
                break
        answer = rollout.answers.get(hook.hook_id, "TIMED_OUT")
        rollout.answers[hook.hook_id] = answer
        if answer != "CONTINUE":
            how = "pause hook timed out" if answer == "TIMED_OUT" else "pause hook was rolled back"
            yield from self._back(
                rollout,
                f"Service deployment rolled back because PRE_PRODUCTION_TRAFFIC_SHIFT {how}.",
            )

    def _back(self, rollout: _Rollout, reason: str) -> Script:
        source = rollout.view.source.arn if rollout.view.source else ""
        started = self._clock.now()
        self._show(rollout, status="ROLLBACK_IN_PROGRESS", reason=reason, hooks=())
        self._shift(rollout, 0.0)
        yield
        failed = self.behaviour.rollback_fails
        self._show(
            rollout,
            status="ROLLBACK_FAILED" if failed else "ROLLBACK_SUCCESSFUL",
            rollback_reason=reason,
            rollback_revision=source,
            rollback_started_at=started,
            finished_at=self._clock.now(),
        )
        rollout.script = iter(())
        yield

    def _watch_alarms(self, rollout: _Rollout) -> None:
        alarms = rollout.view.configuration["alarms"]
        firing = [name for name, state in self._alarms.state.items() if state == "ALARM"]
        acts = alarms["enable"] and not rollout.ignores_alarms
        if firing and acts and rollout.view.status == "IN_PROGRESS":
            self._show(rollout, alarm_status="TRIGGERED", triggered_alarms=tuple(firing))
            reason = "Service deployment rolled back because a deployment alarm was triggered."
            rollout.script = self._back(rollout, reason)

    def _shift(self, rollout: _Rollout, percent: float) -> None:
        self._show(rollout, target=replace(rollout.view.target, weight=percent))
        blue, green = self._routing.rule
        old, new = (blue, green) if self._old_is(rollout, blue) else (green, blue)
        self._routing.rule[old] = round(100 - percent)
        self._routing.rule[new] = round(percent)

    def _old_is(self, rollout: _Rollout, group: str) -> bool:
        """Roles swap with each successful deployment; blue has the first."""
        earlier = self._rollouts[: self._rollouts.index(rollout)]
        swaps = sum(each.view.status == "SUCCESSFUL" for each in earlier) - 1
        return (group == self._coordinates.blue_target_group_arn) == (swaps % 2 == 0)

    def _new(self, revision: str) -> Deployment:
        number = len(self._rollouts) + 1
        where = f"{self._coordinates.cluster}/{self._coordinates.service}"
        return Deployment(
            arn=f"{ARN}:service-deployment/{where}/deployment{number:04d}",
            status="PENDING",
            target=RevisionView(revision, requested=2),
            source=RevisionView(self._live, weight=100, requested=2, running=2),
            created_at=self._clock.now(),
            configuration=deepcopy(self.configuration),
        )

    def _revision(self, task_definition: str) -> str:
        where = f"{self._coordinates.cluster}/{self._coordinates.service}"
        arn = f"{ARN}:service-revision/{where}/{len(self.revisions) + 1:04d}"
        self.revisions[arn] = task_definition
        return arn

    def _find(self, arn: str) -> _Rollout:
        return next(each for each in self._rollouts if each.view.arn == arn)

    def _show(self, rollout: _Rollout, **changes: Any) -> None:
        rollout.view = replace(rollout.view, **changes)


def _time(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment


def _hook_failed(function: str, stage: str = "PRE_PRODUCTION_TRAFFIC_SHIFT") -> str:
    return (
        f"Service deployment rolled back because {stage} lifecycle hook(s) "
        f"failed. Lifecycle hook target {function} returned FAILED status."
    )
