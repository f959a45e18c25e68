"""The memory twin: every port of a deployed service, with no network and no waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

from llmops_runbooks.coordinates import Coordinates
from llmops_runbooks.manifest import Release
from llmops_runbooks.memory import scene
from llmops_runbooks.memory.ecs import Behaviour, MemoryEcs
from llmops_runbooks.memory.gate import ScriptedGate
from llmops_runbooks.memory.stores import (
    MemoryAlarms,
    MemoryArtifacts,
    MemoryClock,
    MemoryHistories,
    MemoryMetrics,
    MemoryRegistry,
    MemoryRouting,
)
from llmops_runbooks.ports import Cloud

ALARMS = ("handbook-local-errors", "handbook-local-latency")
GATE = "arn:aws:lambda:us-east-1:123456789012:function:handbook-local-gate"
_GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup"
_RULE = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/handbook/1/2"
_VAULT = "arn:aws:secretsmanager:us-east-1:123456789012:secret"

COORDINATES = Coordinates(
    environment="local",
    service_name="handbook",
    region="us-east-1",
    cluster="handbook-local",
    service="handbook-local",
    task_family="handbook-local",
    container="service",
    production_rule_arn=f"{_RULE}/3",
    test_rule_arn=f"{_RULE}/4",
    blue_target_group_arn=f"{_GROUP}/handbook-local-blue/1",
    green_target_group_arn=f"{_GROUP}/handbook-local-green/2",
    artifact_bucket="handbook-local-artifacts",
    repository="handbook-local",
    repository_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/handbook-local",
    token_secret_arn=f"{_VAULT}:tokens",
    database_secret_arn=f"{_VAULT}:database",
    alarms=ALARMS,
    gate_function_arn=GATE,
    log_group="/llmops/handbook-local",
    metric_namespace="llmops",
    service_url="http://127.0.0.1:8080",
    test_url="http://127.0.0.1:8081",
)


@dataclass
class MemoryCloud:
    """The twins by their own types, for whoever sets the scene; `cloud` is what runbooks get."""

    coordinates: Coordinates = COORDINATES
    behaviour: Behaviour = field(default_factory=Behaviour)

    def __post_init__(self) -> None:
        where = self.coordinates
        self.clock = MemoryClock()
        self.artifacts = MemoryArtifacts(where.artifact_bucket)
        self.registry = MemoryRegistry(where.repository)
        self.routing = MemoryRouting(
            {where.blue_target_group_arn: 100, where.green_target_group_arn: 0}
        )
        self.alarms = MemoryAlarms(where.alarms)
        self.metrics = MemoryMetrics()
        self.histories = MemoryHistories()
        self.gate = ScriptedGate(self.clock, self.artifacts)
        self.ecs = MemoryEcs(
            self.clock,
            self.routing,
            self.alarms,
            self.gate,
            coordinates=where,
            behaviour=self.behaviour,
        )

    def deploy(self, release: Release) -> None:
        """The service as the first `deploy` leaves it: `release` serves."""
        where = self.coordinates
        self.ecs.create(
            scene.task_definition(where, release), scene.deployment_configuration(where)
        )

    @property
    def cloud(self) -> Cloud:
        return Cloud(
            coordinates=self.coordinates,
            deployments=self.ecs,
            artifacts=self.artifacts,
            registry=self.registry,
            routing=self.routing,
            alarms=self.alarms,
            metrics=self.metrics,
            histories=self.histories,
            clock=self.clock,
        )
