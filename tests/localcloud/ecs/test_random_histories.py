"""Whatever operators, hooks and alarms do, a deployment ends, and ends well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.errors import EcsError
from llmops_localcloud.ecs.identifiers import Place
from llmops_localcloud.ecs.memory import (
    BLUE,
    GATE,
    GREEN,
    PRODUCTION,
    TEST,
    HandClock,
    MemoryAlarms,
    MemoryEvents,
    MemoryFunctions,
    MemoryRouter,
    MemoryTargets,
    MemoryTasks,
)
from llmops_localcloud.ecs.model import Deployment, HookStatus, Service
from llmops_localcloud.ecs.operations import Operations
from llmops_localcloud.ecs.stages import TERMINAL, Status
from llmops_localcloud.ports import Switches, TaskStatus, World

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/c"

ACTIONS = st.one_of(
    st.tuples(st.just("tick"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.sampled_from([1, 5, 30, 1440])),
    st.tuples(st.just("answer"), st.sampled_from(["SUCCEEDED", "FAILED", "IN_PROGRESS", "odd"])),
    st.tuples(st.just("alarm"), st.sampled_from(["OK", "ALARM"])),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("continue"), st.sampled_from(["CONTINUE", "ROLLBACK"])),
    st.tuples(st.just("release"), st.none()),
    st.tuples(st.just("scale"), st.integers(0, 3)),
    st.tuples(st.just("kill"), st.integers(0, 5)),
)

SWITCHES = st.builds(
    Switches,
    bake_before_second_pause=st.booleans(),
    hook_failure_fails_rollback=st.booleans(),
    superseded_status=st.sampled_from(["STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"]),
    test_rule_after_success=st.sampled_from(["TARGET", "SOURCE"]),
    alarm_without_rollback=st.sampled_from(["STOPPED", "IGNORED"]),
)

SHAPES = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["CANARY", "LINEAR", "BLUE_GREEN", "ROLLING"]),
        "pauses": st.booleans(),
        "functions": st.booleans(),
        "rollback": st.booleans(),
    }
)


def configuration(shape: dict[str, Any]) -> dict[str, Any]:
    alarms = {"alarmNames": ["a"], "enable": True, "rollback": shape["rollback"]}
    if shape["strategy"] == "ROLLING":
        return {"strategy": "ROLLING", "lifecycleHooks": [], "alarms": alarms}
    stages = ["PRE_SCALE_UP", "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"]
    pause = {"targetType": "PAUSE", "lifecycleStages": stages}
    function = {
        "targetType": "AWS_LAMBDA",
        "hookTargetArn": GATE,
        "lifecycleStages": [*stages, "TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"],
    }
    hooks = [pause] * shape["pauses"] + [function] * shape["functions"]
    return {
        "strategy": shape["strategy"],
        "bakeTimeInMinutes": 5,
        "lifecycleHooks": hooks,
        "alarms": alarms,
    }


class History:
    """A service under random actions, with the invariants looked at after every tick."""

    def __init__(self, switches: Switches, shape: dict[str, Any]) -> None:
        self.clock, self.tasks, self.router = HandClock(), MemoryTasks(), MemoryRouter()
        self.functions, self.alarms = MemoryFunctions(), MemoryAlarms()
        self.targets = MemoryTargets()
        self.disturbed = True
        world = World(
            self.clock,
            self.tasks,
            self.targets,
            self.router,
            self.functions,
            self.alarms,
            MemoryEvents(),
            switches,
        )
        self.engine = Engine(world, Place("123456789012", "us-east-1"))
        self.do = Operations(self.engine)
        self.configuration = configuration(shape)
        self.service = self._create()
        self.disturbed = False

    def _create(self) -> Service:
        self._register()
        service = self.do.create_service(
            CLUSTER,
            {
                "serviceName": "web",
                "taskDefinition": "web",
                "desiredCount": 2,
                "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0},
                "loadBalancers": [
                    {
                        "targetGroupArn": BLUE,
                        "containerName": "x",
                        "containerPort": 80,
                        "advancedConfiguration": {
                            "alternateTargetGroupArn": GREEN,
                            "productionListenerRule": PRODUCTION,
                            "testListenerRule": TEST,
                        },
                    }
                ],
            },
        )
        self.tick(20)
        assert service.deployments[-1].status is Status.SUCCESSFUL
        return service

    def _register(self) -> str:
        container = {"name": "x", "image": "y", "portMappings": [{"containerPort": 80}]}
        sent = {"family": "web", "containerDefinitions": [container]}
        made = self.engine.definitions.register(sent, self.clock.now())
        return str(made["taskDefinitionArn"])

    @property
    def deployment(self) -> Deployment:
        return self.service.deployments[-1]

    def tick(self, times: int) -> None:
        for _ in range(times):
            self.engine.tick()
            weights = self.router.rules[PRODUCTION]
            assert sum(weights.values()) in {1, 100}
            self._serving_groups_have_tasks()

    def _serving_groups_have_tasks(self) -> None:
        """No traffic to an empty group, unless somebody killed the tasks or asked for none."""
        if self.disturbed:
            return
        for group, weight in self.router.rules[PRODUCTION].items():
            assert not weight or self.targets.groups[group]

    def act(self, name: str, value: Any) -> None:
        acts: dict[str, Callable[[Any], None]] = {
            "tick": self.tick,
            "wait": self.wait,
            "answer": self.answer,
            "alarm": self.alarm,
            "stop": self.stop,
            "continue": self.go_on,
            "release": self.release,
            "scale": self.scale,
            "kill": self.kill,
        }
        acts[name](value)

    def wait(self, minutes: int) -> None:
        self.clock.move(minutes=minutes)
        self.tick(2)

    def answer(self, status: str) -> None:
        self.functions.script = lambda payload: {"hookStatus": status}

    def alarm(self, state: str) -> None:
        self.alarms.now = {"a": state}

    def stop(self, _: None) -> None:
        try:
            self.do.stop_deployment(self.deployment.arn, "ROLLBACK")
        except EcsError:
            assert self.deployment.over or self.deployment.committed

    def go_on(self, action: str) -> None:
        if self.deployment.status is Status.ROLLBACK_REQUESTED:
            return
        for hook in self.deployment.hooks:
            if hook.status is HookStatus.AWAITING_ACTION:
                self.do.continue_deployment(self.deployment.arn, hook.hook_id, action)
                return

    def release(self, _: None) -> None:
        definition = self._register()
        self.do.update_service(
            "c",
            {
                "service": "web",
                "taskDefinition": definition,
                "deploymentConfiguration": self.configuration,
            },
        )

    def scale(self, count: int) -> None:
        self.disturbed |= count == 0
        self.do.update_service("c", {"service": "web", "desiredCount": count})

    def kill(self, number: int) -> None:
        running = self.tasks.running()
        self.disturbed = True
        if running:
            self.tasks.end(running[number % len(running)], 137)

    def run_out(self) -> None:
        """No more actions: only time passes, longer than any time-out."""
        self.functions.script = lambda payload: {"hookStatus": "SUCCEEDED"}
        for _ in range(60):
            if self.deployment.over:
                break
            self.clock.move(hours=25)
            self.tick(8)
        for _ in range(2):
            self.clock.move(hours=1)
            self.tick(8)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(switches=SWITCHES, shape=SHAPES, actions=st.lists(ACTIONS, max_size=25))
def test_every_history_ends_in_a_terminal_status_with_one_revision_serving(
    switches: Switches, shape: dict[str, Any], actions: list[tuple[str, Any]]
) -> None:
    history = History(switches, shape)
    history.release(None)
    for name, value in actions:
        history.act(name, value)
    history.run_out()
    last, service = history.deployment, history.service
    assert all(each.status in TERMINAL for each in service.deployments)
    assert service.active is not None
    assert service.active.steady
    if last.status in {Status.ROLLBACK_SUCCESSFUL, Status.ROLLBACK_FAILED}:
        assert service.active is last.stable
        assert service.task_definition == last.stable.task_definition["taskDefinitionArn"]
    if last.status is Status.SUCCESSFUL:
        assert service.active is last.target
    if last.status is not Status.STOPPED:
        assert history.router.rules[PRODUCTION].get(str(service.active.target_group)) in {1, 100}
        running = [
            arn for arn, view in history.tasks.views.items() if view.status is TaskStatus.RUNNING
        ]
        assert len(running) == service.desired
