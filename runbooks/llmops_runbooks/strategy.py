"""The two ways a release may go out, as ECS's whole `deploymentConfiguration`.

`UpdateService` gets the whole block, since AWS does not say whether a field left out keeps its
value (reference 7k). It starts from the live block, so that what the stack set and a release does
not decide (percentages of healthy tasks, circuit breaker) stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmops_runbooks.errors import UsageError
from llmops_runbooks.ports import Cloud
from llmops_runbooks.settings import Environment

STAGE = "PRE_PRODUCTION_TRAFFIC_SHIFT"
GATE_STAGES = ("POST_TEST_TRAFFIC_SHIFT", STAGE)
"""The golden set's, before any user; then before each step of the canary."""
PAUSE_MINUTES = 1440
QUICK_PERCENT = 100.0


def canary(
    cloud: Cloud, live: Mapping[str, Any], settings: Environment, *, other_models: bool = False
) -> dict[str, Any]:
    """A judged release: canary share, bakes, alarms, gate; with manual promotion, a PAUSE.

    other_models: the release runs other models than the live one.
    """
    hooks = [_gate(cloud, live, settings, other_models)]
    if settings.canary.promotion == "manual":
        hooks.append(_pause())
    return {
        **live,
        "strategy": "CANARY",
        "canaryConfiguration": {
            "canaryPercent": settings.canary.percent,
            "canaryBakeTimeInMinutes": settings.canary.bake_minutes,
        },
        "bakeTimeInMinutes": settings.canary.final_bake_minutes,
        "alarms": _alarms(cloud, enable=True),
        "lifecycleHooks": hooks,
    }


def quick(cloud: Cloud, live: Mapping[str, Any]) -> dict[str, Any]:
    """A rollback to a release that served before: 100 % at once, no gate, no pause, no bake.

    The strategy stays CANARY with one step of 100 %: the service keeps its kind of deployment.
    Alarms do not act: they may fire from what the rollback is the cure of, and ECS would then
    undo the cure.
    """
    return {
        **live,
        "strategy": "CANARY",
        "canaryConfiguration": {"canaryPercent": QUICK_PERCENT, "canaryBakeTimeInMinutes": 0},
        "bakeTimeInMinutes": 0,
        "alarms": _alarms(cloud, enable=False),
        "lifecycleHooks": [],
    }


def is_quick(configuration: Mapping[str, Any]) -> bool:
    """Whether a deployment went out as `quick` makes it."""
    canary_part = configuration.get("canaryConfiguration") or {}
    return bool(canary_part.get("canaryPercent") == QUICK_PERCENT)


def _alarms(cloud: Cloud, *, enable: bool) -> dict[str, Any]:
    return {"alarmNames": list(cloud.coordinates.alarms), "enable": enable, "rollback": enable}


def _pause() -> dict[str, Any]:
    return {
        "targetType": "PAUSE",
        "lifecycleStages": [STAGE],
        "timeoutConfiguration": {"timeoutInMinutes": PAUSE_MINUTES, "action": "ROLLBACK"},
    }


def _policy(settings: Environment, other_models: bool) -> dict[str, Any]:
    """The judge's policy; a release of other models differs in their fingerprints by design."""
    policy = settings.policy
    kinds = tuple(kind for kind in policy.contamination if kind != "fingerprint")
    return (replace(policy, contamination=kinds) if other_models else policy).to_settings()


def _gate(
    cloud: Cloud, live: Mapping[str, Any], settings: Environment, other_models: bool
) -> dict[str, Any]:
    """The gate's hook with this release's policy; its role comes from where it was last set."""
    hook = next(_gate_hooks(cloud, live), None)
    if hook is None:
        raise UsageError(
            f"The ECS service {cloud.coordinates.service} has no gate as lifecycle hook.",
            hint=f"llmops deploy --env {settings.name}",
        )
    details = {
        "policy": _policy(settings, other_models),
        "callback_seconds": settings.callback_seconds,
    }
    return {
        "targetType": "AWS_LAMBDA",
        "hookTargetArn": hook["hookTargetArn"],
        "roleArn": hook["roleArn"],
        "lifecycleStages": list(GATE_STAGES),
        "hookDetails": details,
    }


def _gate_hooks(cloud: Cloud, live: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Gate hooks of the service, then of its deployments, newest first.

    A quick rollback leaves the service without one; the deployments before it remember the role.
    """
    yield from _gates_in(live, cloud.coordinates.gate_function_arn)
    for deployment in cloud.deployments.deployments():
        yield from _gates_in(deployment.configuration, cloud.coordinates.gate_function_arn)


def _gates_in(configuration: Mapping[str, Any], function: str) -> Iterator[Mapping[str, Any]]:
    for hook in configuration.get("lifecycleHooks") or ():
        # The stack may name a version or an alias of the function.
        if hook.get("hookTargetArn", "").startswith(function) and "roleArn" in hook:
            yield hook
