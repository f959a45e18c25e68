"""deploymentConfiguration and load balancers: defaults, what an update merges, what is refused.

Ranges and defaults: botocore's model and section 1.3; messages: section 1.8 of the reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmops_localcloud.ecs.errors import InvalidParameterException, UnsupportedFeatureException
from llmops_localcloud.ecs.stages import STAGES

SHIFTING = ("BLUE_GREEN", "LINEAR", "CANARY")
"""The strategies that shift traffic; ROLLING, the fourth, only replaces tasks."""

DEFAULT_BAKE_MINUTES = 15
"""CloudFormation's default for the shifting strategies; the API names none."""

_STEP_DEFAULTS: Mapping[str, tuple[str, dict[str, float]]] = {
    "CANARY": ("canaryConfiguration", {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10}),
    "LINEAR": ("linearConfiguration", {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}),
}
_STEP_KEYS = frozenset(key for key, _ in _STEP_DEFAULTS.values())
_TIMEOUT_DEFAULT = {"timeoutInMinutes": 1440, "action": "ROLLBACK"}
_MOST_HOOKS = 10
_LONGEST_HOOK = {"AWS_LAMBDA": 1440, "PAUSE": 20160}
_RANGES: Mapping[str, tuple[float, float]] = {
    "canaryPercent": (0.1, 100),
    "canaryBakeTimeInMinutes": (0, 1440),
    "stepPercent": (3, 100),
    "stepBakeTimeInMinutes": (0, 1440),
    "bakeTimeInMinutes": (0, 1440),
}
_RULE_ARN = re.compile(r"^arn:aws[\w-]*:elasticloadbalancing:[^:]+:[^:]+:listener-rule/app/.+$")
_NLB_LISTENER_ARN = re.compile(r"^arn:aws[\w-]*:elasticloadbalancing:[^:]+:[^:]+:listener/net/.+$")


def complete(
    sent: Mapping[str, Any] | None, current: Mapping[str, Any] | None = None, *, reset: bool = False
) -> dict[str, Any]:
    """The whole configuration after `sent` was applied to `current`, checked.

    What `sent` omits keeps its current value, or with `reset` its default; a value that is sent
    replaces the whole value of that name. Raises InvalidParameterException.
    """
    sent = dict(sent or {})
    merged = {**(current or {}), **sent} if current and not reset else dict(sent)
    strategy = merged.setdefault("strategy", "ROLLING")
    _refuse_foreign_steps(sent, strategy)
    merged.setdefault("maximumPercent", 200)
    merged.setdefault("minimumHealthyPercent", 100)
    merged["lifecycleHooks"] = [_complete_hook(hook) for hook in merged.get("lifecycleHooks", [])]
    if strategy in SHIFTING:
        merged.setdefault("bakeTimeInMinutes", DEFAULT_BAKE_MINUTES)
    own = _STEP_DEFAULTS.get(strategy)
    for key in _STEP_KEYS - {own[0] if own else ""}:
        merged.pop(key, None)
    if own:
        merged[own[0]] = {**own[1], **merged.get(own[0], {})}
    _check(merged)
    return merged


def _complete_hook(hook: Mapping[str, Any]) -> dict[str, Any]:
    timeout = {**_TIMEOUT_DEFAULT, **hook.get("timeoutConfiguration", {})}
    return {"targetType": "AWS_LAMBDA", **hook, "timeoutConfiguration": timeout}


def _refuse_foreign_steps(sent: Mapping[str, Any], strategy: str) -> None:
    for owner, (key, _) in _STEP_DEFAULTS.items():
        if key in sent and strategy != owner:
            raise InvalidParameterException(
                f"{key} is only valid when the deployment strategy is {owner}, not {strategy}."
            )


def _check(configuration: Mapping[str, Any]) -> None:
    strategy = configuration["strategy"]
    if strategy not in {"ROLLING", *SHIFTING}:
        raise InvalidParameterException(f"Invalid deployment strategy: {strategy}.")
    if "earlySuccessCriteria" in configuration:
        raise UnsupportedFeatureException("earlySuccessCriteria is not emulated: leave it out.")
    steps = configuration.get("canaryConfiguration", configuration.get("linearConfiguration", {}))
    for name, value in {**configuration, **steps}.items():
        if name in _RANGES:
            _check_range(name, value)
    _check_hooks(configuration["lifecycleHooks"], strategy)


def _check_range(name: str, value: float) -> None:
    low, high = _RANGES[name]
    if not low <= value <= high:
        raise InvalidParameterException(f"{name} must be from {low:g} to {high:g}, not {value:g}.")
    if name.endswith("Percent") and round(value * 10, 6) % 1:
        raise InvalidParameterException(f"{name} must be a multiple of 0.1, not {value:g}.")


def _check_hooks(hooks: Sequence[Mapping[str, Any]], strategy: str) -> None:
    if hooks and strategy == "ROLLING":
        raise UnsupportedFeatureException(
            "lifecycleHooks are emulated for BLUE_GREEN, LINEAR and CANARY, not for ROLLING."
        )
    for hook in hooks:
        _check_hook(hook)
    for kind in _LONGEST_HOOK:
        if sum(hook["targetType"] == kind for hook in hooks) > _MOST_HOOKS:
            raise InvalidParameterException(f"A service may have {_MOST_HOOKS} {kind} hooks.")


def _check_hook(hook: Mapping[str, Any]) -> None:
    kind = hook["targetType"]
    if kind not in _LONGEST_HOOK:
        raise InvalidParameterException("Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE")
    allowed = {row.stage for row in STAGES if row.pause_hooks or kind == "AWS_LAMBDA"}
    allowed &= {row.stage for row in STAGES if row.function_hooks}
    stages = hook.get("lifecycleStages", [])
    if not stages or not set(stages) <= allowed:
        name = "Pause" if kind == "PAUSE" else "Lambda"
        raise InvalidParameterException(f"Invalid lifecycle stage provided for {name} Hook")
    if kind == "AWS_LAMBDA" and not hook.get("hookTargetArn"):
        raise InvalidParameterException("hookTargetArn is required for AWS_LAMBDA lifecycle hooks.")
    if not isinstance(hook.get("hookDetails", {}), Mapping):
        raise InvalidParameterException("hookDetails must be a JSON object.")
    _check_timeout(hook["timeoutConfiguration"], kind)


def _check_timeout(timeout: Mapping[str, Any], kind: str) -> None:
    longest = _LONGEST_HOOK[kind]
    if not 1 <= timeout["timeoutInMinutes"] <= longest:
        raise InvalidParameterException(
            f"timeoutInMinutes of a {kind} hook must be from 1 to {longest}."
        )
    if timeout["action"] not in {"ROLLBACK", "CONTINUE"}:
        raise InvalidParameterException("Hook timeout action must be ROLLBACK or CONTINUE.")


def check_load_balancers(
    balancers: Sequence[Mapping[str, Any]],
    strategy: str,
    containers: Sequence[Mapping[str, Any]],
) -> None:
    """Refuses what AWS refuses at once (behaviour 32), and what is not emulated."""
    advanced = [each.get("advancedConfiguration") for each in balancers]
    if any(advanced) and not all(advanced):
        raise InvalidParameterException(
            "Either all or none of the provided loadBalancers must have advancedConfiguration "
            "defined"
        )
    if balancers and strategy != "ROLLING" and not all(advanced):
        raise InvalidParameterException(
            "advancedConfiguration field is required for all loadBalancers when using a "
            "non-ROLLING deployment strategy"
        )
    if not balancers and strategy in {"LINEAR", "CANARY"}:
        raise InvalidParameterException(
            f"The {strategy} deployment strategy requires a load balancer to shift traffic with."
        )
    _check_groups(balancers)
    for each in balancers:
        _check_container(each, containers)
        if each.get("advancedConfiguration"):
            _check_rules(each["advancedConfiguration"])


def _check_groups(balancers: Sequence[Mapping[str, Any]]) -> None:
    groups: list[str] = []
    for each in balancers:
        if "loadBalancerName" in each or "targetGroupArn" not in each:
            raise UnsupportedFeatureException("Classic Load Balancers are not emulated.")
        groups.append(each["targetGroupArn"])
        alternate = each.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        groups += [alternate] if alternate else []
    repeated = [group for group in groups if groups.count(group) > 1]
    if repeated:
        raise InvalidParameterException(f"Duplicate targetGroupArn found: {repeated[0]}")
    if len(balancers) > 1:
        raise UnsupportedFeatureException("One load balancer per service is emulated, not several.")


def _check_container(balancer: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> None:
    name, port = balancer.get("containerName"), balancer.get("containerPort")
    named = [each for each in containers if each["name"] == name]
    if not named:
        raise InvalidParameterException(
            f"The container {name} does not exist in the task definition."
        )
    if port not in [mapping.get("containerPort") for mapping in named[0]["portMappings"]]:
        raise InvalidParameterException(
            f"The container {name} did not have a container port {port} defined."
        )


def _check_rules(advanced: Mapping[str, Any]) -> None:
    production, test = advanced.get("productionListenerRule"), advanced.get("testListenerRule")
    for name, arn in (("productionListenerRule", production), ("testListenerRule", test)):
        if arn is not None and _NLB_LISTENER_ARN.match(arn):
            raise UnsupportedFeatureException(f"{name}: Network Load Balancers are not emulated.")
        if (arn is not None or name.startswith("production")) and not _RULE_ARN.match(arn or ""):
            raise InvalidParameterException(
                f"{name} has an invalid ARN format. Must be RuleArn for ALB or ListenerArn for "
                f"NLB. Got: {arn}"
            )
    if production == test:
        raise InvalidParameterException(
            "The following rules cannot be used as both production and test listener rules: "
            f"[{production}]"
        )
    if not advanced.get("alternateTargetGroupArn"):
        raise InvalidParameterException("alternateTargetGroupArn is required.")


def check_association(balancer: Mapping[str, Any], weights: Mapping[str, int]) -> None:
    """Without a test rule, the production rule must name both target groups."""
    advanced = balancer.get("advancedConfiguration")
    if not advanced or advanced.get("testListenerRule"):
        return
    if not {balancer["targetGroupArn"], advanced["alternateTargetGroupArn"]} <= set(weights):
        raise InvalidParameterException(
            "For Application LoadBalancer, testListenerRule is required when "
            "productionListenerRule is not associated with both targetGroup and "
            "alternateTargetGroup"
        )
