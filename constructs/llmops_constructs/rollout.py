"""How a release's traffic is moved, and the rules AWS and the CDK leave unsaid.

The CDK synthesizes CANARY without a load balancer, without an alternate target group, without
canary settings, and together with a circuit breaker; ECS then refuses the service, or ignores
the settings. `accept` says so at synthesis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llmops_constructs._validation import InvalidConstruct, Rule, check, outside
from llmops_constructs.routing import Routing

MAXIMUM_BAKE_MINUTES = 1440
MAXIMUM_CLOUDFORMATION_HOURS = 33
"""CloudFormation refuses a service whose bakes together last longer."""

POST_TEST_TRAFFIC_SHIFT = "POST_TEST_TRAFFIC_SHIFT"
"""Once the test listener forwards to the new revision, before any user does."""
PRE_PRODUCTION_TRAFFIC_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
"""Before every step of a canary. ECS has this stage; the CDK's enum does not."""

STAGES = frozenset(
    {
        "RECONCILE_SERVICE",
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "TEST_TRAFFIC_SHIFT",
        POST_TEST_TRAFFIC_SHIFT,
        PRE_PRODUCTION_TRAFFIC_SHIFT,
        "PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    }
)


@dataclass(frozen=True, kw_only=True)
class Canary:
    """Two steps: `percent` of the traffic, then all of it."""

    percent: float
    bake_minutes: int
    """Minutes ECS waits after the first step, at the least."""
    final_bake_minutes: int
    """Minutes both revisions stay at full size after the second step."""


@dataclass(frozen=True, kw_only=True)
class LambdaHook:
    """A function ECS asks at some stages of a deployment; its answer holds or ends it."""

    function: lambda_.IFunction
    stages: Sequence[str] = (PRE_PRODUCTION_TRAFFIC_SHIFT,)
    details: Mapping[str, Any] | None = None
    """Handed to the function with every call; known at synthesis, plain JSON."""

    def render(self, role_arn: str) -> dict[str, Any]:
        """The hook as CloudFormation spells it; its details are a JSON text there."""
        hook: dict[str, Any] = {
            "TargetType": "AWS_LAMBDA",
            "HookTargetArn": self.function.function_arn,
            "RoleArn": role_arn,
            "LifecycleStages": list(self.stages),
        }
        if self.details is not None:
            hook["HookDetails"] = json.dumps(self.details, sort_keys=True)
        return hook


@dataclass(frozen=True)
class Asked:
    """What was asked for of a service's rollouts; `alarms` is how many watch them."""

    canary: Canary | None
    routing: Routing | None
    circuit_breaker: ecs.DeploymentCircuitBreaker | None
    alarms: int
    hook: LambdaHook | None


def accept(scope: Construct, asked: Asked, more: Sequence[Rule] = ()) -> tuple[Canary, Routing]:
    """The canary and the routing, once everything between the parts of a rollout holds, and `more`.

    Raises InvalidConstruct with every mistake.
    """
    canary, routing = asked.canary, asked.routing
    broken: list[Rule] = [
        (canary is None, "CANARY needs its settings: give canary=Canary(...)."),
        (routing is None, "CANARY needs a load balancer to move traffic: give routing."),
        (
            routing is not None and routing.alternate_target_group_arn is None,
            "CANARY needs an alternate target group for the new revision: "
            "give routing.alternate_target_group_arn.",
        ),
        (
            asked.circuit_breaker is not None,
            "The circuit breaker belongs to ROLLING; with CANARY the alarms and the hook roll "
            "back: drop circuit_breaker.",
        ),
        (asked.alarms == 0, "CANARY without alarms rolls back on nothing: give alarms."),
    ]
    ranges = _ranges(canary) if canary else []
    stages = _stages(asked.hook) if asked.hook else []
    check(scope, [*broken, *ranges, *stages, *more])
    if canary is None or routing is None:
        raise InvalidConstruct(scope.node.path, ["canary and routing are needed."])
    return canary, routing


def _ranges(canary: Canary) -> list[Rule]:
    total = canary.bake_minutes + canary.final_bake_minutes
    return [
        (
            outside(canary.percent, 0.1, 100) or _finer_than_a_tenth(canary.percent),
            f"canary.percent is {canary.percent}; ECS allows 0.1 to 100 in steps of 0.1.",
        ),
        (
            outside(canary.bake_minutes, 0, MAXIMUM_BAKE_MINUTES),
            f"canary.bake_minutes is {canary.bake_minutes}; ECS allows 0 to 1440.",
        ),
        (
            outside(canary.final_bake_minutes, 0, MAXIMUM_BAKE_MINUTES),
            f"canary.final_bake_minutes is {canary.final_bake_minutes}; ECS allows 0 to 1440.",
        ),
        (
            outside(total, 0, MAXIMUM_CLOUDFORMATION_HOURS * 60),
            f"The bakes last {total} minutes together; CloudFormation allows 33 hours.",
        ),
    ]


def _finer_than_a_tenth(percent: float) -> bool:
    return not cdk.Token.is_unresolved(percent) and abs(percent * 10 - round(percent * 10)) > 1e-9


def _stages(hook: LambdaHook) -> list[Rule]:
    unknown = sorted(set(hook.stages) - STAGES)
    return [
        (not hook.stages, "The hook names no stage."),
        (bool(unknown), f"ECS has no lifecycle stage {', '.join(unknown)}."),
    ]
