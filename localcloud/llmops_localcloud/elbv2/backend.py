"""moto's ELBv2 backend, extended: what it is told reaches the load balancer before it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from moto.elbv2 import urls
from moto.elbv2.exceptions import (
    DuplicateListenerError,
    ELBClientError,
    PriorityInUseError,
    TargetGroupNotFoundError,
)
from moto.elbv2.models import ELBv2Backend, FakeAction

from llmops_localcloud.loadbalancer.control import HealthView, LoadBalancerError
from llmops_localcloud.loadbalancer.desired import Address
from llmops_localcloud.ports import TargetHealth

from . import refuse, translate

if TYPE_CHECKING:
    from .plane import DataPlane

DESCRIPTIONS = {
    TargetHealth.INITIAL: ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    TargetHealth.UNUSED: (
        "Target.NotInUse",
        "Target group is not configured to receive traffic from the load balancer",
    ),
    TargetHealth.DRAINING: (
        "Target.DeregistrationInProgress",
        "Target deregistration is in progress",
    ),
}
NOT_REGISTERED = HealthView(
    TargetHealth.UNUSED,
    "Target.NotRegistered",
    "Target is not registered to the target group",
)


@dataclass(frozen=True)
class TargetHealthDescription:
    """One entry of DescribeTargetHealth, with the attribute names that moto's serializer reads."""

    target: dict[str, Any]
    health_check_port: str
    target_health: dict[str, str | None]


class LocalELBv2Backend(ELBv2Backend):
    """One region of one account. `plane` is set on a subclass when the data plane is installed."""

    plane: DataPlane

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.registered: dict[str, dict[Address, None]] = {}

    @property
    def _url_module(self) -> ModuleType:
        module: ModuleType = urls
        return module

    def reset(self) -> None:
        super().reset()
        self.plane.sync()

    # Load balancers and listeners

    def create_load_balancer(self, *args: Any, **kwargs: Any) -> Any:
        with self.plane.lock:
            balancer = super().create_load_balancer(*args, **kwargs)
            balancer.dns_name = "127.0.0.1"
            balancer.activate()
            return balancer

    def delete_load_balancer(self, arn: str) -> None:
        with self.plane.lock:
            balancer = self.load_balancers.get(arn)
            if balancer and balancer.attrs.get("deletion_protection.enabled") == "true":
                raise ELBClientError(
                    "OperationNotPermitted",
                    f"Load balancer '{arn}' cannot be deleted because deletion protection is "
                    "enabled",
                )
            super().delete_load_balancer(arn)
            self.plane.sync()

    def modify_load_balancer_attributes(self, arn: str, attrs: dict[str, Any]) -> Any:
        with self.plane.lock:
            answer = super().modify_load_balancer_attributes(arn, attrs)
            self.plane.sync()
            return answer

    def create_listener(  # noqa: PLR0917 (moto's signature)
        self,
        load_balancer_arn: str,
        protocol: str,
        port: Any,
        ssl_policy: str,
        certificate: str | None,
        actions: list[dict[str, Any]],
        alpn_policy: list[str] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        """Raises ELBClientError, and creates nothing, if the port cannot be opened."""
        with self.plane.lock:
            number: Any = int(port)
            balancer = self.load_balancers.get(load_balancer_arn)
            if balancer is not None:
                refuse.listener(protocol, balancer.type)
                if any(int(one.port) == number for one in balancer.listeners.values()):
                    raise DuplicateListenerError()
            listener = super().create_listener(
                load_balancer_arn,
                protocol,
                number,
                ssl_policy,
                certificate,
                _checked(actions),
                alpn_policy,
                tags,
            )
            try:
                self.plane.sync()
            except LoadBalancerError as error:
                super().delete_listener(listener.arn)
                raise _port_taken(port, error) from error
            return listener

    def modify_listener(  # noqa: PLR0917 (moto's signature)
        self,
        arn: str,
        port: Any = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: list[dict[str, Any]] | None = None,
        actions: list[dict[str, Any]] | None = None,
    ) -> Any:
        with self.plane.lock:
            if protocol is not None:
                refuse.listener(protocol, "application")
            listener = self.describe_listeners(None, [arn])[0]
            before = listener.port
            number: Any = None if port is None else int(port)
            super().modify_listener(
                arn,
                number,
                protocol,
                ssl_policy,
                certificates,
                _checked(actions or []),
            )
            try:
                self.plane.sync()
            except LoadBalancerError as error:
                listener.port = before
                raise _port_taken(port, error) from error
            return listener

    def delete_listener(self, listener_arn: str) -> Any:
        with self.plane.lock:
            listener = super().delete_listener(listener_arn)
            self.plane.sync()
            return listener

    def convert_and_validate_properties(self, properties: dict[str, Any]) -> list[dict[str, Any]]:
        """Default actions of a CloudFormation listener, weights kept."""
        return list(properties["DefaultActions"])

    # Rules

    def create_rule(
        self,
        listener_arn: str,
        conditions: list[dict[str, Any]],
        priority: Any,
        actions: list[dict[str, Any]],
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        refuse.conditions(conditions)
        with self.plane.lock:
            for other in self.describe_listeners(None, [listener_arn])[0].rules.values():
                if str(other.priority) == str(priority):
                    raise PriorityInUseError()
            rule = super().create_rule(
                listener_arn, conditions, int(priority), _checked(actions), tags
            )
            self.plane.sync()
            return rule

    def modify_rule(
        self, rule_arn: str, conditions: list[dict[str, Any]], actions: list[dict[str, Any]]
    ) -> Any:
        refuse.conditions(conditions or [])
        with self.plane.lock:
            rule = super().modify_rule(rule_arn, conditions or [], _checked(actions or []))
            self.plane.sync()
            return rule

    def delete_rule(self, arn: str) -> None:
        with self.plane.lock:
            super().delete_rule(arn)
            self.plane.sync()

    def set_rule_priorities(self, rule_priorities: list[dict[str, Any]]) -> Any:
        with self.plane.lock:
            rules = super().set_rule_priorities(rule_priorities)
            self.plane.sync()
            return rules

    def describe_rules(self, listener_arn: str | None, rule_arns: list[str] | None) -> Any:
        """In order of priority, the default rule last (moto: in order of creation)."""
        return translate.in_order(super().describe_rules(listener_arn, rule_arns))

    def forward(self, rule: Any, weights: Mapping[str, int]) -> None:
        """Give a rule's forward action these weights."""
        order = next((a.data.get("Order") for a in rule.actions if a.type == "forward"), None)
        rule.actions = [FakeAction(translate.forward_action(weights, order))]
        if rule.is_default:
            self.describe_listeners(None, [rule.listener_arn])[0].default_actions = rule.actions
        self.plane.sync()

    # Target groups and targets

    def create_target_group(self, name: str, **kwargs: Any) -> Any:
        if kwargs.get("target_type") == "ip":
            refuse.target_group(
                kwargs.get("protocol"),
                kwargs.get("healthcheck_protocol"),
                kwargs.get("protocol_version"),
            )
        with self.plane.lock:
            group = super().create_target_group(name, **kwargs)
            self.plane.sync()
            return group

    def modify_target_group(self, *args: Any, **kwargs: Any) -> Any:
        with self.plane.lock:
            group = super().modify_target_group(*args, **kwargs)
            self.plane.sync()
            return group

    def modify_target_group_attributes(
        self, target_group_arn: str, attributes: dict[str, Any]
    ) -> None:
        refuse.attributes(attributes)
        with self.plane.lock:
            super().modify_target_group_attributes(target_group_arn, attributes)
            self.plane.sync()

    def delete_target_group(self, target_group_arn: str) -> Any:
        with self.plane.lock:
            group = super().delete_target_group(target_group_arn)
            self.registered.pop(target_group_arn, None)
            self.plane.sync()
            return group

    def register_targets(self, target_group_arn: str, instances: list[Any]) -> None:
        for target in instances:
            refuse.target(target["Id"])
        with self.plane.lock:
            group = self._group(target_group_arn)
            here = self.registered.setdefault(target_group_arn, {})
            here.update({_address(target, group): None for target in instances})
            self.plane.sync()

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        with self.plane.lock:
            group = self._group(target_group_arn)
            here = self.registered.setdefault(target_group_arn, {})
            for target in instances:
                here.pop(_address(target, group), None)
            self.plane.sync()

    def describe_target_health(
        self, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> list[Any]:
        group = self._group(target_group_arn)
        views = self.plane.views(target_group_arn)
        wanted: Iterable[Address] = [_address(t, group) for t in targets] or views
        return [self._described(address, group, views) for address in wanted]

    def _described(
        self, address: Address, group: Any, views: Mapping[Address, HealthView]
    ) -> TargetHealthDescription:
        view = views.get(address, NOT_REGISTERED)
        reason, description = view.reason, view.description
        if not reason:
            reason, description = DESCRIPTIONS.get(view.state, (None, None))  # type: ignore[assignment]
        port = str(group.health_check_port or "traffic-port")
        checked = str(address[1]) if port == "traffic-port" else port
        return TargetHealthDescription(
            {"Id": address[0], "Port": address[1]},
            checked,
            {"State": view.state.value, "Reason": reason, "Description": description},
        )

    def _group(self, arn: str) -> Any:
        group = self.target_groups.get(arn)
        if group is None:
            raise TargetGroupNotFoundError()
        return group


def _checked(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    refuse.actions(actions)
    return [translate.full_action(action) for action in actions]


def _address(target: Mapping[str, Any], group: Any) -> Address:
    return target["Id"], int(target.get("Port") or group.port)


def _port_taken(port: Any, error: LoadBalancerError) -> ELBClientError:
    return ELBClientError(
        "InvalidConfigurationRequest",
        f"Listener {port}: {error}; stop what listens there or choose another listener port.",
    )
