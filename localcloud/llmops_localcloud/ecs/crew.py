"""Carries out what the machine asks for one deployment, by the scheduler, the rules and hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from llmops_localcloud.ecs.desk import Desk
from llmops_localcloud.ecs.events import deployment_changed, hook_changed
from llmops_localcloud.ecs.guard import Guard
from llmops_localcloud.ecs.hooks import HookSet, because
from llmops_localcloud.ecs.machine import RollBack, Wait
from llmops_localcloud.ecs.model import (
    Deployment,
    HookStatus,
    Revision,
    Rollback,
    Service,
    minutes,
)
from llmops_localcloud.ecs.stages import Stage, Status, Step, steps
from llmops_localcloud.ecs.traffic import Routing

STAGE_LIMIT = timedelta(hours=24)
"""Section 1.3: a stage, and each step of the production shift, may take 24 hours."""


class DeploymentCrew:
    """Implements `machine.Crew`."""

    def __init__(self, desk: Desk, service: Service, deployment: Deployment) -> None:
        self._desk, self._service, self._deployment = desk, service, deployment
        self.guard = Guard(deployment, desk.world.switches)
        self.observed = False
        self._memory: dict[int, Mapping[str, Any]] = {}
        self._begun: set[Stage] = set()
        balancer = load_balancer(deployment.target)
        shifts = balancer is not None and "advancedConfiguration" in balancer
        self._routing = Routing(desk, deployment, balancer) if shifts and balancer else None

    @property
    def first(self) -> bool:
        return self._deployment.stable is None

    @property
    def reconciles(self) -> bool:
        return self._deployment.reconciles

    @property
    def steps(self) -> tuple[Step, ...]:
        return steps(self._deployment.configuration, first=self.first)

    @property
    def bake_minutes(self) -> int:
        return int(self._deployment.configuration["bakeTimeInMinutes"])

    @property
    def bake_before_second_pause(self) -> bool:
        return self._desk.world.switches.bake_before_second_pause

    def move(self, status: Status) -> None:
        self._deployment.move(status, self._desk.now)
        if status is Status.IN_PROGRESS:
            self.guard.begin(self._desk.seen.alarms, self._service.desired)
        if status is Status.SUCCESSFUL:
            self._deployment.status_reason = "Service deployment completed successfully."
        deployment_changed(self._desk, self._deployment)

    def enter(self, stage: Stage) -> None:
        self._deployment.enter(stage, self._desk.now)

    def begin(self) -> Wait:
        """PENDING until a tick has looked at what the deployment needs, its alarms above all."""
        return lambda: self.observed

    def reconcile(self) -> Wait:
        stable = self._deployment.stable
        others = [each for each in self._deployment.sources if each is not stable]
        if all(revision.gone for revision in others):
            return lambda: True
        routed = self._routing.all_to(stable) if self._routing and stable else lambda: True

        def reconciled() -> bool:
            if not routed():
                return False
            for revision in others:
                revision.retire()
            return all(revision.gone for revision in others)

        return self._within_limit(reconciled, Stage.RECONCILE_SERVICE)

    def check_routing(self) -> Wait:
        return self._routing.check() if self._routing else lambda: True

    def scale_up(self) -> Wait:
        target = self._deployment.target
        target.scale(self._service.desired)
        return self._within_limit(lambda: target.steady, Stage.SCALE_UP)

    def shift_test(self, percent: float) -> Wait:
        self._begun.add(Stage.TEST_TRAFFIC_SHIFT)
        return self._routing.shift_test(percent) if self._routing else lambda: True

    def shift(self, percent: float) -> Wait:
        self._begun.add(Stage.PRODUCTION_TRAFFIC_SHIFT)
        return self._routing.shift_production(percent) if self._routing else lambda: True

    def shifted(self, stage: Stage) -> bool:
        return stage in self._begun

    def hooks(self, stage: Stage, *, rolling_back: bool = False) -> Wait:
        """The set starts when it is first waited for, with the weights of that moment."""
        started: list[HookSet] = []

        def passed() -> bool:
            if not started:
                started.append(self._start_hooks(stage, rolling_back))
            return self._tolerating(started[0].passed, rolling_back)

        return passed

    def bake(self, minutes_: int) -> Wait:
        until = self._desk.now + minutes(minutes_)
        return lambda: self._desk.now >= until

    def point_of_no_return(self) -> None:
        self.guard.end()
        self._deployment.committed = True
        self._service.active = self._deployment.target
        if self._routing and self._desk.world.switches.test_rule_after_success == "SOURCE":
            self._routing.point_test_at_source()

    def stop_sources(self) -> Wait:
        others = [each for each in self._service.revisions if each is not self._deployment.target]
        return self._stop(others)

    def begin_rollback(self, reason: str) -> None:
        deployment = self._deployment
        self.guard.end()
        self.abandon_hooks()
        deployment.status_reason = reason
        if deployment.status is not Status.ROLLBACK_REQUESTED:
            self.move(Status.ROLLBACK_REQUESTED)
        back_to = deployment.stable.arn if deployment.stable else None
        deployment.rollback = Rollback(reason, self._desk.now, back_to)
        if deployment.stable:
            self._service.task_definition = str(
                deployment.stable.task_definition["taskDefinitionArn"]
            )
        self.move(Status.ROLLBACK_IN_PROGRESS)

    def abandon_hooks(self) -> None:
        """Hooks that still wait have lost their chance: their ids are dead."""
        for run in self._deployment.hooks:
            if run.open:
                run.status = HookStatus.FAILED
                hook_changed(self._desk, self._deployment, run)

    def stop_target(self) -> Wait:
        return self._stop([self._deployment.target])

    def finish(self, *, failure: str | None) -> None:
        status = Status.ROLLBACK_FAILED if failure else Status.ROLLBACK_SUCCESSFUL
        if self.first:
            status = Status(self._desk.world.switches.first_rollback)
        if failure:
            self._deployment.status_reason += f" The rollback failed: {failure}"
        self.move(status)

    def _stop(self, revisions: list[Revision]) -> Wait:
        for revision in revisions:
            revision.retire()
        return lambda: all(revision.gone for revision in revisions)

    def _within_limit(self, wait: Wait, stage: Stage) -> Wait:
        until = self._desk.now + STAGE_LIMIT

        def done() -> bool:
            if wait():
                return True
            if self._desk.now >= until:
                raise RollBack(because(f"{stage} did not end within 24 hours."))
            return False

        return done

    def _start_hooks(self, stage: Stage, rolling_back: bool) -> HookSet:
        return HookSet(
            self._desk,
            self._deployment,
            stage,
            memory=self._memory,
            weights=self._weights(stage),
            functions_only=rolling_back,
        )

    def _tolerating(self, passed: Callable[[], bool], rolling_back: bool) -> bool:
        try:
            return passed()
        except RollBack:
            if rolling_back and not self._desk.world.switches.hook_failure_fails_rollback:
                return True
            raise

    def _weights(self, stage: Stage) -> dict[str, dict[str, int]]:
        """Section 1.5: filled only at the stages that move traffic."""
        traffic = self._deployment.traffic
        production = stage in {Stage.PRE_PRODUCTION_TRAFFIC_SHIFT, Stage.PRODUCTION_TRAFFIC_SHIFT}
        test = stage is Stage.TEST_TRAFFIC_SHIFT
        return {
            "testTrafficWeights": _whole(traffic.test) if test else {},
            "productionTrafficWeights": _whole(traffic.production) if production else {},
        }


def load_balancer(revision: Revision) -> Mapping[str, Any] | None:
    """The one load balancer of a revision, if it has one."""
    balancers = revision.settings.get("loadBalancers") or [None]
    first: Mapping[str, Any] | None = balancers[0]
    return first


def _whole(shares: Mapping[str, float]) -> dict[str, int]:
    return {arn: round(share) for arn, share in shares.items()}
