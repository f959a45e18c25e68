"""The release runbook over HTTP against the local ECS engine, under every setting of every switch.

The engine, its API and boto3 are real; tasks, load balancer, alarms and the gate are fakes, and
time moves only while the runbook waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from llmops_localcloud.ecs import memory as fakes
from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.responses import install
from llmops_localcloud.ecs.switches import CHOICES
from llmops_localcloud.ports import Switches, World
from llmops_runbooks.attach import attach
from llmops_runbooks.aws.clients import Clients
from llmops_runbooks.aws.ecs import EcsDeployments
from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.memory import COORDINATES, MemoryCloud, scene
from llmops_runbooks.memory.gate import ScriptedGate
from llmops_runbooks.narration import Event
from llmops_runbooks.outcome import Decider, Outcome
from llmops_runbooks.ports import Cloud
from llmops_runbooks.promote import Word, promote
from llmops_runbooks.publish import publish
from llmops_runbooks.release import Job, release
from llmops_runbooks.rollback import rollback
from llmops_runbooks.serving import serving, under_way
from llmops_runbooks.settings import Environment

WHERE: Coordinates = COORDINATES.model_copy(
    update={
        "cluster": "runbooks",
        "blue_target_group_arn": fakes.BLUE,
        "green_target_group_arn": fakes.GREEN,
        "production_rule_arn": fakes.PRODUCTION,
        "test_rule_arn": fakes.TEST,
        "gate_function_arn": fakes.GATE,
    }
)
ME = Word("ada", "looks good")
SETTINGS: list[dict[str, Any]] = [
    {name: value} for name, values in CHOICES.items() for value in values
]
"""Every switch under each of its values: what AWS does not document must not matter."""


class EngineClock:
    """A wait of the runbook is a minute of the cloud's time and a few steps of the engine."""

    def __init__(self, hand: fakes.HandClock, engine: Engine) -> None:
        self._hand, self._engine = hand, engine

    def now(self) -> datetime:
        return self._hand.now()

    def wall(self) -> float:
        return self._hand.now().timestamp()

    def wait(self, seconds: float) -> None:
        self._hand.move(minutes=1)
        for _ in range(3):
            self._engine.tick()


class Alarms:
    """What CloudWatch would say: every alarm is quiet."""

    def states(self, names: Any) -> dict[str, str]:
        return dict.fromkeys(names, "OK")


class Rules:
    def __init__(self, router: fakes.MemoryRouter) -> None:
        self._router = router

    def weights(self, rule_arn: str) -> dict[str, int]:
        return dict(self._router.weights(rule_arn))


@dataclass
class Stage:
    """A deployed service on the engine."""

    cloud: Cloud
    gate: ScriptedGate
    clients: Clients
    settings: Environment
    project: Path
    router: fakes.MemoryRouter

    def job(self, version: str, tell: Callable[[Event], None] = lambda _: None, **more: Any) -> Job:
        settings = more.pop("settings", self.settings)
        folder = self.project / ".llmops"
        return Job(version, self.cloud, settings, self.project, folder, tell, **more)

    def definition(self, arn: str) -> Mapping[str, Any]:
        return self.cloud.deployments.task_definition(arn)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def make_stage(
    endpoint: str, settings: Environment, project: Path
) -> Iterator[Callable[..., Stage]]:
    engines: list[Engine] = []

    def make(**switches: Any) -> Stage:
        stage, engine = _stage(endpoint, settings, project, Switches(**switches))
        engines.append(engine)
        return stage

    yield make
    for engine in engines:
        engine.close()


def _stage(
    endpoint: str, settings: Environment, project: Path, switches: Switches
) -> tuple[Stage, Engine]:
    memory, hand, router = MemoryCloud(WHERE), fakes.HandClock(), fakes.MemoryRouter()
    functions = fakes.MemoryFunctions()
    functions.script = lambda payload: _asked(memory.gate, payload)
    world = World(
        clock=hand,
        tasks=fakes.MemoryTasks(),
        targets=fakes.MemoryTargets(),
        router=router,
        functions=functions,
        alarms=fakes.MemoryAlarms(),
        events=fakes.MemoryEvents(),
        switches=switches,
    )
    engine = install(world, "123456789012", "us-east-1", tick_every=None)
    keys = {"endpoint_url": endpoint, "access_key_id": "local", "secret_access_key": "local"}
    clients = Clients(settings.model_copy(update=keys))
    ecs = EcsDeployments(clients, cluster=WHERE.cluster, service=WHERE.service)
    cloud = replace(
        memory.cloud,
        deployments=ecs,
        routing=Rules(router),
        alarms=Alarms(),
        clock=EngineClock(hand, engine),
    )
    first = publish("1.0.0", project=project, artifacts=cloud.artifacts, registry=cloud.registry)
    _create(clients, scene.task_definition(WHERE, first))
    while not [each for each in ecs.deployments() if each.status == "SUCCESSFUL"]:
        cloud.clock.wait(1)
    return Stage(cloud, memory.gate, clients, settings, project, router), engine


def _create(clients: Clients, definition: dict[str, Any]) -> None:
    """What CloudFormation would ask for."""
    definition["containerDefinitions"][0]["portMappings"] = [{"containerPort": 8080}]
    clients.call("ecs", "create_cluster", clusterName=WHERE.cluster)
    answer = clients.call("ecs", "register_task_definition", **definition)
    rules = {
        "alternateTargetGroupArn": fakes.GREEN,
        "productionListenerRule": fakes.PRODUCTION,
        "testListenerRule": fakes.TEST,
        "roleArn": "arn:aws:iam::123456789012:role/infrastructure",
    }
    balancer = {"targetGroupArn": fakes.BLUE, "containerName": "service", "containerPort": 8080}
    clients.call(
        "ecs",
        "create_service",
        cluster=WHERE.cluster,
        serviceName=WHERE.service,
        taskDefinition=answer["taskDefinition"]["taskDefinitionArn"],
        desiredCount=2,
        launchType="FARGATE",
        loadBalancers=[{**balancer, "advancedConfiguration": rules}],
        deploymentConfiguration=scene.deployment_configuration(WHERE),
    )


def _asked(gate: ScriptedGate, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The scripted gate in AWS's contract (reference 1.5)."""
    rollout = payload["resourceArn"].rsplit("/", 1)[-1]
    details = payload["executionDetails"]
    weights = details["productionTrafficWeights"]
    canary = weights.get(details["targetServiceRevisionArn"], 0)
    if len(weights) < 2:
        return {"hookStatus": "SUCCEEDED"}
    return {"hookStatus": gate.ask(rollout, canary), "callBackDelay": 15}


@pytest.mark.parametrize("switches", SETTINGS, ids=str)
def test_a_good_release_is_promoted_whatever_aws_turns_out_to_do(
    make_stage: Callable[..., Stage], switches: dict[str, Any]
) -> None:
    stage = make_stage(**switches)
    found = release(stage.job("1.2.0"))
    assert (found.outcome, found.decided_by) == (Outcome.PROMOTED, Decider.GATE)
    assert serving(stage.cloud).release == found.release


@pytest.mark.parametrize("switches", SETTINGS, ids=str)
def test_a_bad_release_is_rolled_back_and_its_task_definition_deregistered(
    make_stage: Callable[..., Stage], switches: dict[str, Any]
) -> None:
    stage = make_stage(**switches)
    stage.gate.words = ("wait", "rollback")
    before = serving(stage.cloud)
    found = release(stage.job("1.1.0"))
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.GATE)
    assert serving(stage.cloud).release == before.release
    rejected, *_ = stage.cloud.deployments.deployments()
    arn = stage.cloud.deployments.task_definition_of(rejected.target.arn)
    assert arn is not None
    assert stage.definition(arn)["status"] == "INACTIVE"


@pytest.mark.parametrize("switches", SETTINGS, ids=str)
def test_a_person_promotes_the_live_canary_and_the_watcher_never_does(
    make_stage: Callable[..., Stage], switches: dict[str, Any], manual: Environment
) -> None:
    stage = make_stage(**switches)
    stage.gate.words = ("promote",)
    waiting = release(stage.job("1.2.0", settings=manual, hold=False))
    assert waiting.outcome is Outcome.WAITING
    assert sorted(stage.cloud.routing.weights(fakes.PRODUCTION).values()) == [10, 90]
    for _ in range(10):
        stage.cloud.clock.wait(1)
    assert sorted(stage.cloud.routing.weights(fakes.PRODUCTION).values()) == [10, 90]
    promoted: list[str] = []

    def at_the_pause(event: Event) -> None:
        if "waiting for a person" in event.text and not promoted:
            promoted.append(promote(stage.cloud, ME).id)

    rollout = under_way(stage.cloud)
    assert rollout is not None
    folder = stage.project / ".llmops"
    found = attach(stage.cloud, rollout, manual, folder=folder, tell=at_the_pause)
    assert (found.outcome, len(promoted)) == (Outcome.PROMOTED, 1)


def test_the_operator_rolls_back_in_the_canary_after_it_and_twice(
    make_stage: Callable[..., Stage],
) -> None:
    stage = make_stage()
    stage.gate.words = ("wait",)
    first = serving(stage.cloud).release

    def in_the_canary(event: Event) -> None:
        if event.verdict is not None:
            raise KeyboardInterrupt

    assert release(stage.job("1.1.0", in_the_canary)).outcome is Outcome.WAITING
    found = rollback(stage.job(""), ME)
    assert (found.outcome, found.decided_by) == (Outcome.ROLLED_BACK, Decider.OPERATOR)
    stage.gate.words = ("promote",)
    assert release(stage.job("1.2.0")).outcome is Outcome.PROMOTED
    back = rollback(stage.job(""), ME)
    assert (back.release, back.outcome) == (first, Outcome.PROMOTED)
    again = release(stage.job("1.1.0"))
    assert (again.outcome, again.decided_by) == (Outcome.PROMOTED, Decider.GATE)


def test_the_clock_of_the_watcher_is_the_clouds(make_stage: Callable[..., Stage]) -> None:
    found = release(make_stage().job("1.2.0"))
    assert found.started_at is not None and found.finished_at is not None
    started = datetime.fromisoformat(found.started_at).astimezone(UTC)
    assert started < datetime.fromisoformat(found.finished_at)
