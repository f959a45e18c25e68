"""AWS::EC2::SecurityGroupEgress and SecurityGroupIngress: moto has no egress, and cannot remove a
rule with its stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

Api = Callable[[Place, Properties], None]


def _permission(properties: Properties, peer: str) -> dict[str, Any]:
    """The rule as the EC2 API has it; `peer` is Source or Destination."""
    description = properties.get("Description")
    permission: dict[str, Any] = {"IpProtocol": str(properties["IpProtocol"])}
    for port in ("FromPort", "ToPort"):
        if port in properties:
            permission[port] = int(properties[port])
    sides = {
        "IpRanges": ("CidrIp", "CidrIp"),
        "Ipv6Ranges": ("CidrIpv6", "CidrIpv6"),
        "PrefixListIds": ("PrefixListId", f"{peer}PrefixListId"),
        "UserIdGroupPairs": ("GroupId", f"{peer}SecurityGroupId"),
    }
    for key, (field, name) in sides.items():
        if name in properties:
            entry = {field: properties[name]}
            if description:
                entry["Description"] = description
            permission[key] = [entry]
    return permission


def _add(kind: str, peer: str) -> Callable[[Place, Properties], Made]:
    def add(place: Place, properties: Properties) -> Made:
        call = getattr(client("ec2", place), f"authorize_security_group_{kind}")
        answer = call(GroupId=properties["GroupId"], IpPermissions=[_permission(properties, peer)])
        rules = answer.get("SecurityGroupRules") or [{"SecurityGroupRuleId": place.name}]
        rule_id = rules[0]["SecurityGroupRuleId"]
        return Made(rule_id, {"Id": rule_id})

    return add


def _remove(kind: str, peer: str) -> Api:
    def remove(place: Place, properties: Properties) -> None:
        call = getattr(client("ec2", place), f"revoke_security_group_{kind}")
        call(GroupId=properties["GroupId"], IpPermissions=[_permission(properties, peer)])

    return remove


for _kind, _peer in (("ingress", "Source"), ("egress", "Destination")):
    add_type(
        f"AWS::EC2::SecurityGroup{_kind.title()}",
        _add(_kind, _peer),
        delete=_remove(_kind, _peer),
    )
