"""A cloud whose time stands still: moto's real server, the engine ticked by hand, fake ports."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from llmops_localcloud.ecs import memory as fakes
from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.responses import install
from llmops_localcloud.ports import Switches, World


def _beside(name: str) -> Any:
    """A helper in the folder above: tests are no package, so it is loaded by its path."""
    path = Path(__file__).parent.parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_every_answer = _beside("botocore_model").check_every_answer

ACCOUNT, REGION, CLUSTER, SERVICE, FAMILY = "123456789012", "us-east-1", "c", "web", "web"


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Cloud:
    """The engine, its ports, and a boto3 client whose every answer is checked."""

    def __init__(
        self, endpoint: str, switches: Switches, speed: float = 1.0, check_answers: bool = True
    ) -> None:
        self.endpoint = endpoint
        self.clock = fakes.HandClock(speed)
        self.tasks, self.targets, self.router = (
            fakes.MemoryTasks(),
            fakes.MemoryTargets(),
            fakes.MemoryRouter(),
        )
        self.functions, self.alarms, self.events = (
            fakes.MemoryFunctions(),
            fakes.MemoryAlarms(),
            fakes.MemoryEvents(),
        )
        world = World(
            clock=self.clock,
            tasks=self.tasks,
            targets=self.targets,
            router=self.router,
            functions=self.functions,
            alarms=self.alarms,
            events=self.events,
            switches=switches,
        )
        self.engine: Engine = install(world, ACCOUNT, REGION, tick_every=None)
        self.ecs = self.client("ecs")
        if check_answers:
            check_every_answer(self.ecs)
        self.ecs.create_cluster(clusterName=CLUSTER)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def settle(self) -> None:
        """Ticks until nothing moves any more without time or an answer from outside."""
        quiet = 0
        for _ in range(300):
            before = self._fingerprint()
            asked = self.engine.tick()
            quiet = 0 if asked or self._fingerprint() != before else quiet + 1
            if quiet == 2:
                return
        raise AssertionError("the engine does not come to rest")

    def wait(self, **duration: float) -> None:
        self.clock.move(**duration)
        self.settle()

    def _fingerprint(self) -> Any:
        return [
            (each.status, each.stage, [hook.status for hook in each.hooks])
            for each in self.engine.deployments()
        ]

    # What an operator does

    def register(self, release: str = "1", **more: Any) -> str:
        answer = self.ecs.register_task_definition(
            family=FAMILY,
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[
                {
                    "name": "service",
                    "image": f"repo@sha256:{release:0>64}",
                    "portMappings": [{"containerPort": 8080}],
                    "environment": [{"name": "RELEASE", "value": release}],
                }
            ],
            **more,
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, **overrides: Any) -> str:
        """A service with a load balancer and its deployment's ARN; not settled."""
        sent = {
            "cluster": CLUSTER,
            "serviceName": SERVICE,
            "taskDefinition": self.register(),
            "desiredCount": 2,
            "launchType": "FARGATE",
            "loadBalancers": [self.load_balancer()],
            "deploymentConfiguration": self.canary(),
            **overrides,
        }
        self.ecs.create_service(**{key: value for key, value in sent.items() if value is not None})
        return self.latest()

    def update(self, **parameters: Any) -> str:
        self.ecs.update_service(cluster=CLUSTER, service=SERVICE, **parameters)
        return self.latest()

    def up(self, **overrides: Any) -> str:
        """A service whose first deployment has succeeded."""
        arn = self.create(**overrides)
        self.settle()
        self.wait(minutes=60)
        assert self.status(arn) == "SUCCESSFUL"
        self.router.changes.clear()
        self.functions.calls.clear()
        self.events.sent.clear()
        return arn

    def release(self, release: str = "2", **parameters: Any) -> str:
        """A second deployment, brought as far as it goes without time passing."""
        arn = self.update(taskDefinition=self.register(release), **parameters)
        self.settle()
        return arn

    # What an operator sees

    def latest(self) -> str:
        services = self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"]
        return str(services[0]["currentServiceDeployment"])

    def see(self, arn: str) -> dict[str, Any]:
        answer = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        found: dict[str, Any] = answer["serviceDeployments"][0]
        return found

    def status(self, arn: str) -> str:
        return str(self.see(arn)["status"])

    def service(self) -> dict[str, Any]:
        answer = self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])
        found: dict[str, Any] = answer["services"][0]
        return found

    def paused(self, arn: str) -> list[dict[str, Any]]:
        hooks = self.see(arn)["lifecycleHookDetails"]
        return [hook for hook in hooks if hook["status"] == "AWAITING_ACTION"]

    def go_on(self, arn: str, action: str = "CONTINUE") -> str:
        hook = self.paused(arn)[0]["hookId"]
        self.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action=action)
        self.settle()
        return str(hook)

    def releases_running(self) -> list[str]:
        """The RELEASE of every task that runs, sorted."""
        containers = [
            self.tasks.specs[arn].task_definition["containerDefinitions"][0]
            for arn in self.tasks.running()
        ]
        return sorted(each["environment"][0]["value"] for each in containers)

    # What is sent

    @staticmethod
    def load_balancer(**advanced: Any) -> dict[str, Any]:
        return {
            "targetGroupArn": fakes.BLUE,
            "containerName": "service",
            "containerPort": 8080,
            "advancedConfiguration": {
                "alternateTargetGroupArn": fakes.GREEN,
                "productionListenerRule": fakes.PRODUCTION,
                "testListenerRule": fakes.TEST,
                "roleArn": "arn:aws:iam::123456789012:role/infrastructure",
                **advanced,
            },
        }

    @staticmethod
    def canary(
        percent: float = 10, canary_bake: int = 5, bake: int = 3, **more: Any
    ) -> dict[str, Any]:
        return {
            "strategy": "CANARY",
            "canaryConfiguration": {
                "canaryPercent": percent,
                "canaryBakeTimeInMinutes": canary_bake,
            },
            "bakeTimeInMinutes": bake,
            **more,
        }

    @staticmethod
    def pause(*stages: str, **timeout: Any) -> dict[str, Any]:
        hook: dict[str, Any] = {"targetType": "PAUSE", "lifecycleStages": list(stages)}
        return {**hook, "timeoutConfiguration": timeout} if timeout else hook

    @staticmethod
    def function(*stages: str, **more: Any) -> dict[str, Any]:
        return {
            "targetType": "AWS_LAMBDA",
            "hookTargetArn": fakes.GATE,
            "roleArn": "arn:aws:iam::123456789012:role/hooks",
            "lifecycleStages": list(stages),
            **more,
        }


@pytest.fixture
def make_cloud(endpoint: str) -> Iterator[Callable[..., Cloud]]:
    made: list[Cloud] = []

    def make(speed: float = 1.0, check_answers: bool = True, **switches: Any) -> Cloud:
        """`check_answers=False` is for the switch whose value botocore's model does not have."""
        made.append(Cloud(endpoint, Switches(**switches), speed, check_answers))
        return made[-1]

    yield make
    for cloud in made:
        cloud.engine.close()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    return make_cloud()
