"""CloudFormation's ElasticLoadBalancingV2 types.

moto's own leave out attributes, tags, weights of listeners and most updates. Each resource here is
a handle: the ARN in the stack, everything else in the backend. What the load balancer does not do
and a template must be able to ask for (TLS, a login before a request is forwarded, stickiness,
access logs) is left out and named in `/_llmops/unsupported`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.elbv2.models import elbv2_backends

from llmops_localcloud.cloudformation.partial import add_partial

from .refuse import ATTRIBUTES
from .translate import dimension

TYPE = "AWS::ElasticLoadBalancingV2::"


class Handle:
    """What the four types share: an ARN, and a way from properties to calls of the backend."""

    kind: ClassVar[str] = "Handle"
    name_property: ClassVar[str] = ""
    attributes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, arn: str, account_id: str, region_name: str) -> None:
        self.arn = arn
        self.backend = elbv2_backends[account_id][region_name]

    @classmethod
    def cloudformation_type(cls) -> str:
        return TYPE + cls.kind

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attributes

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_kwargs: Any,
    ) -> Handle:
        backend = elbv2_backends[account_id][region_name]
        arn = cls.create(backend, resource_name, cloudformation_json["Properties"])
        handle = cls(arn, account_id, region_name)
        handle.properties = cloudformation_json["Properties"]
        return handle

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> Handle:
        """In place, or by a replacement if a property changed that cannot be changed in place."""
        new = cloudformation_json["Properties"]
        old = original_resource.properties
        if any(old.get(name) != new.get(name) for name in cls.replacing):
            made = cls.create_from_cloudformation_json(
                new_resource_name, cloudformation_json, account_id, region_name
            )
            original_resource.delete(account_id, region_name)
            return made
        original_resource.update(new)
        original_resource.properties = new
        return original_resource  # type: ignore[no-any-return]

    replacing: ClassVar[tuple[str, ...]] = ()
    properties: Mapping[str, Any] = {}

    @classmethod
    def create(cls, backend: Any, name: str, properties: Any) -> str:
        """Create it and answer its ARN."""
        raise NotImplementedError

    def update(self, properties: Any) -> None:
        """Change in place."""
        raise NotImplementedError

    def delete(self, account_id: str, region_name: str) -> None:
        """Remove it; nothing happens if it is gone already."""
        raise NotImplementedError

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        """The value of Fn::GetAtt."""
        raise NotImplementedError


class LoadBalancer(Handle, CloudFormationModel):
    """AWS::ElasticLoadBalancingV2::LoadBalancer."""

    kind = "LoadBalancer"
    name_property = "Name"
    replacing = ("Name", "Scheme", "Type")
    attributes = (
        "CanonicalHostedZoneID",
        "DNSName",
        "LoadBalancerArn",
        "LoadBalancerFullName",
        "LoadBalancerName",
        "SecurityGroups",
    )

    @classmethod
    def create(cls, backend: Any, name: str, properties: Any) -> str:
        balancer = backend.create_load_balancer(
            name,
            properties.get("SecurityGroups") or [],
            properties.get("Subnets") or [],
            subnet_mappings=properties.get("SubnetMappings"),
            scheme=properties.get("Scheme", "internet-facing"),
            loadbalancer_type=properties.get("Type"),
            ip_address_type=properties.get("IpAddressType", "ipv4"),
            tags=properties.get("Tags"),
        )
        cls._attributes(backend, balancer.arn, properties)
        arn: str = balancer.arn
        return arn

    @staticmethod
    def _attributes(backend: Any, arn: str, properties: Any) -> None:
        given = _pairs(properties.get("LoadBalancerAttributes"))
        if given:
            backend.modify_load_balancer_attributes(arn, given)

    def update(self, properties: Any) -> None:
        self._attributes(self.backend, self.arn, properties)
        if properties.get("SecurityGroups"):
            self.backend.set_security_groups(self.arn, properties["SecurityGroups"])

    def delete(self, account_id: str, region_name: str) -> None:
        self.backend.delete_load_balancer(self.arn)

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        balancer = self.backend.load_balancers[self.arn]
        return {
            "CanonicalHostedZoneID": balancer.canonical_hosted_zone_id,
            "DNSName": balancer.dns_name,
            "LoadBalancerArn": self.arn,
            "LoadBalancerFullName": dimension(self.arn),
            "LoadBalancerName": balancer.name,
            "SecurityGroups": balancer.security_groups,
        }[attribute_name]


class TargetGroup(Handle, CloudFormationModel):
    """AWS::ElasticLoadBalancingV2::TargetGroup."""

    kind = "TargetGroup"
    name_property = "Name"
    replacing = ("Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId")
    attributes = ("LoadBalancerArns", "TargetGroupArn", "TargetGroupFullName", "TargetGroupName")

    @classmethod
    def create(cls, backend: Any, name: str, properties: Any) -> str:
        enabled = properties.get("HealthCheckEnabled")
        group = backend.create_target_group(
            name=name,
            vpc_id=properties.get("VpcId"),
            protocol=properties.get("Protocol"),
            protocol_version=properties.get("ProtocolVersion"),
            port=properties.get("Port"),
            healthcheck_protocol=properties.get("HealthCheckProtocol"),
            healthcheck_port=properties.get("HealthCheckPort"),
            healthcheck_path=properties.get("HealthCheckPath"),
            healthcheck_interval_seconds=_number(properties.get("HealthCheckIntervalSeconds")),
            healthcheck_timeout_seconds=_number(properties.get("HealthCheckTimeoutSeconds")),
            healthcheck_enabled=None if enabled is None else str(enabled).lower(),
            healthy_threshold_count=properties.get("HealthyThresholdCount"),
            unhealthy_threshold_count=properties.get("UnhealthyThresholdCount"),
            matcher=properties.get("Matcher"),
            target_type=properties.get("TargetType", "instance"),
            tags=properties.get("Tags"),
        )
        cls._attributes(backend, group.arn, properties)
        if properties.get("Targets"):
            backend.register_targets(group.arn, properties["Targets"])
        arn: str = group.arn
        return arn

    @staticmethod
    def _attributes(backend: Any, arn: str, properties: Any) -> None:
        given = _pairs(properties.get("TargetGroupAttributes"))
        given = {key: value for key, value in given.items() if key not in _others(given)}
        if given:
            backend.modify_target_group_attributes(arn, given)

    def update(self, properties: Any) -> None:
        self.backend.modify_target_group(
            self.arn,
            health_check_proto=properties.get("HealthCheckProtocol"),
            health_check_port=properties.get("HealthCheckPort"),
            health_check_path=properties.get("HealthCheckPath"),
            health_check_interval=_number(properties.get("HealthCheckIntervalSeconds")),
            health_check_timeout=_number(properties.get("HealthCheckTimeoutSeconds")),
            healthy_threshold_count=properties.get("HealthyThresholdCount"),
            unhealthy_threshold_count=properties.get("UnhealthyThresholdCount"),
            http_codes=(properties.get("Matcher") or {}).get("HttpCode"),
            health_check_enabled=properties.get("HealthCheckEnabled"),
        )
        self._attributes(self.backend, self.arn, properties)

    def delete(self, account_id: str, region_name: str) -> None:
        if self.arn in self.backend.target_groups:
            self.backend.delete_target_group(self.arn)

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        group = self.backend.target_groups[self.arn]
        return {
            "LoadBalancerArns": group.load_balancer_arns,
            "TargetGroupArn": self.arn,
            "TargetGroupFullName": dimension(self.arn),
            "TargetGroupName": group.name,
        }[attribute_name]


class Listener(Handle, CloudFormationModel):
    """AWS::ElasticLoadBalancingV2::Listener."""

    kind = "Listener"
    replacing = ("LoadBalancerArn",)
    attributes = ("ListenerArn",)

    @classmethod
    def create(cls, backend: Any, name: str, properties: Any) -> str:
        listener = backend.create_listener(
            properties.get("LoadBalancerArn"),
            properties.get("Protocol"),
            properties.get("Port"),
            properties.get("SslPolicy"),
            None,
            _done(properties["DefaultActions"]),
        )
        arn: str = listener.arn
        return arn

    def update(self, properties: Any) -> None:
        self.backend.modify_listener(
            self.arn,
            port=properties.get("Port"),
            protocol=properties.get("Protocol"),
            actions=_done(properties["DefaultActions"]),
        )

    def delete(self, account_id: str, region_name: str) -> None:
        if any(self.arn in one.listeners for one in self.backend.load_balancers.values()):
            self.backend.delete_listener(self.arn)

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return {"ListenerArn": self.arn}[attribute_name]


class ListenerRule(Handle, CloudFormationModel):
    """AWS::ElasticLoadBalancingV2::ListenerRule."""

    kind = "ListenerRule"
    replacing = ("ListenerArn",)
    attributes = ("IsDefault", "RuleArn")

    @classmethod
    def create(cls, backend: Any, name: str, properties: Any) -> str:
        rule = backend.create_rule(
            properties["ListenerArn"],
            properties["Conditions"],
            properties["Priority"],
            _done(properties["Actions"]),
        )
        arn: str = rule.arn
        return arn

    def update(self, properties: Any) -> None:
        actions = _done(properties["Actions"])
        self.backend.modify_rule(self.arn, properties["Conditions"], actions)
        if str(properties["Priority"]) != str(self.properties["Priority"]):
            change = {"RuleArn": self.arn, "Priority": int(properties["Priority"])}
            self.backend.set_rule_priorities([change])

    def delete(self, account_id: str, region_name: str) -> None:
        self.backend.delete_rule(self.arn)

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return {"RuleArn": self.arn, "IsDefault": False}[attribute_name]


def _done(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The actions without the logins before them."""
    return [action for action in actions if not action["Type"].startswith("authenticate-")]


def _logins(actions: list[dict[str, Any]]) -> list[str]:
    return ["login"] if len(_done(actions)) < len(actions) else []


def _missing_of_listener(properties: Mapping[str, Any]) -> list[str]:
    tls = ["TLS"] if properties.get("Protocol") == "HTTPS" else []
    return [*tls, *_logins(properties["DefaultActions"])]


def _missing_of_balancer(properties: Mapping[str, Any]) -> list[str]:
    given = _pairs(properties.get("LoadBalancerAttributes"))
    return ["access logs"] if str(given.get("access_logs.s3.enabled")).lower() == "true" else []


def _others(attributes: Mapping[str, Any]) -> list[str]:
    """Attributes of a target group that would spread requests in a way that is not done."""
    return [
        key
        for key, only in ATTRIBUTES.items()
        if key in attributes and str(attributes[key]).lower() != only
    ]


def _missing_of_group(properties: Mapping[str, Any]) -> list[str]:
    others = _others(_pairs(properties.get("TargetGroupAttributes")))
    return ["stickiness" if key == "stickiness.enabled" else key for key in others]


add_partial(TYPE + "TargetGroup", _missing_of_group)
add_partial(TYPE + "Listener", _missing_of_listener)
add_partial(TYPE + "ListenerRule", lambda properties: _logins(properties["Actions"]))
add_partial(TYPE + "LoadBalancer", _missing_of_balancer)


def _pairs(given: Any) -> dict[str, Any]:
    return {pair["Key"]: pair["Value"] for pair in given or []}


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def register() -> None:
    """Let moto's CloudFormation know these types (its lists are cached)."""
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
