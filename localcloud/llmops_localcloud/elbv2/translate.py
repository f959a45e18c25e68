"""From moto's load balancers, rules and target groups to the desired state. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmops_localcloud.loadbalancer.desired import (
    Action,
    Address,
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    Redirect,
    Rule,
    TargetGroup,
)


def dimension(arn: str) -> str:
    """`app/name/id` of a load balancer's ARN, `targetgroup/name/id` of a target group's."""
    last = arn.rsplit(":", 1)[1]
    return last.removeprefix("loadbalancer/")


def full_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """The action as AWS shows it: a forward to one group has both spellings, weights everywhere."""
    if action.get("Type") != "forward":
        return dict(action)
    weights = weights_of(action)
    return forward_action(weights, order=action.get("Order"))


def forward_action(weights: Mapping[str, int], order: Any = None) -> dict[str, Any]:
    """A forward action in API spelling."""
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    action: dict[str, Any] = {"Type": "forward"}
    if order is not None:
        action["Order"] = order
    if len(groups) == 1:
        action["TargetGroupArn"] = groups[0]["TargetGroupArn"]
    stickiness = {"Enabled": False}
    action["ForwardConfig"] = {"TargetGroups": groups, "TargetGroupStickinessConfig": stickiness}
    return action


def weights_of(action: Mapping[str, Any]) -> dict[str, int]:
    """Weight by target group ARN; empty if the action does not forward."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups")
    if groups:
        return {g["TargetGroupArn"]: int(g.get("Weight", 1)) for g in groups}
    return {action["TargetGroupArn"]: 1} if action.get("TargetGroupArn") else {}


def rule_weights(rule: Any) -> dict[str, int]:
    """Weights of a moto rule's forward action."""
    for action in rule.actions:
        if action.type == "forward":
            return weights_of(action.data)
    return {}


def listeners(balancer: Any) -> Iterator[Listener]:
    """The open listeners of a moto load balancer."""
    idle = float(balancer.attrs.get("idle_timeout.timeout_seconds", 60))
    for listener in balancer.listeners.values():
        rules = tuple(_rule(rule) for rule in in_order(listener.rules.values()))
        yield Listener(listener.arn, int(listener.port), dimension(balancer.arn), rules, idle)


def in_order(rules: Iterable[Any]) -> list[Any]:
    """By priority; the default rule last."""
    return sorted(rules, key=lambda r: (r.is_default, 0 if r.is_default else int(r.priority)))


def _rule(rule: Any) -> Rule:
    return Rule(rule.arn, tuple(_condition(c) for c in rule.conditions), _action(rule.actions))


def _action(actions: list[Any]) -> Action:
    data = actions[-1].data
    if data["Type"] == "forward":
        return Forward(weights_of(data))
    if data["Type"] == "fixed-response":
        fixed = data["FixedResponseConfig"]
        return FixedResponse(
            int(fixed["StatusCode"]),
            fixed.get("ContentType") or "text/plain",
            fixed.get("MessageBody") or "",
        )
    return _redirect(data["RedirectConfig"])


def _redirect(config: Mapping[str, str]) -> Redirect:
    return Redirect(
        301 if config["StatusCode"] == "HTTP_301" else 302,
        protocol=config.get("Protocol") or "#{protocol}",
        host=config.get("Host") or "#{host}",
        port=str(config.get("Port") or "#{port}"),
        path=config.get("Path") or "/#{path}",
        query=config.get("Query") or "#{query}",
    )


def _condition(condition: Mapping[str, Any]) -> Condition:
    field = condition["Field"]
    config = next((condition[k] for k in condition if k.endswith("Config")), condition)
    values = config.get("Values", [])
    if field == "query-string":
        keys = tuple(pair.get("Key", "") for pair in values)
        return Condition(field, tuple(pair["Value"] for pair in values), keys=keys)
    return Condition(field, tuple(values), name=config.get("HttpHeaderName", ""))


def target_group(
    group: Any, targets: Iterable[Address], load_balancers: Iterable[str]
) -> TargetGroup:
    """A moto target group with the addresses registered and the balancers that use it."""
    return TargetGroup(
        group.arn,
        dimension(group.arn),
        tuple(targets),
        _health_check(group),
        float(group.attributes["deregistration_delay.timeout_seconds"]),
        tuple(dimension(arn) for arn in load_balancers),
    )


def _health_check(group: Any) -> HealthCheck:
    port = str(group.health_check_port or "traffic-port")
    return HealthCheck(
        path=group.health_check_path or "/",
        matcher=(getattr(group, "matcher", None) or {}).get("HttpCode") or "200",
        interval_seconds=float(group.health_check_interval_seconds),
        timeout_seconds=float(group.health_check_timeout_seconds),
        healthy_threshold=int(group.healthy_threshold_count),
        unhealthy_threshold=int(group.unhealthy_threshold_count),
        port=None if port == "traffic-port" else int(port),
        enabled=str(group.health_check_enabled).lower() != "false",
    )
