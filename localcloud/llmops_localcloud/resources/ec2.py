"""AWS::EC2::SecurityGroup, SecurityGroupIngress and SecurityGroupEgress, and what IPv6 needs.

moto has no egress type, cannot remove a rule with its stack, and makes a group anew, with another
ID, where AWS changes its rules. Of IPv6 it has the calls and no types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from moto.ec2.models.route_tables import RouteTable

from llmops_localcloud.cloudformation.attributes import EXTRA
from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

Api = Callable[[Place, Properties], None]
PEERS = {"ingress": "Source", "egress": "Destination"}
ANYWHERE = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
"""The egress rule a group has that names none."""


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


def _allow(place: Place, kind: str, group: str, rule: Properties) -> str:
    call = getattr(client("ec2", place), f"authorize_security_group_{kind}")
    answer = call(GroupId=group, IpPermissions=[_permission(rule, PEERS[kind])])
    rules = answer.get("SecurityGroupRules") or [{"SecurityGroupRuleId": place.name}]
    return str(rules[0]["SecurityGroupRuleId"])


def _revoke(place: Place, kind: str, group: str, rule: Properties) -> None:
    call = getattr(client("ec2", place), f"revoke_security_group_{kind}")
    call(GroupId=group, IpPermissions=[_permission(rule, PEERS[kind])])


def _group(place: Place, properties: Properties) -> Made:
    ec2 = client("ec2", place)
    tags = properties.get("Tags", [])
    group = ec2.create_security_group(
        GroupName=place.name,
        Description=properties["GroupDescription"],
        VpcId=properties["VpcId"],
        **(
            {"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]}
            if tags
            else {}
        ),
    )["GroupId"]
    made = Made(group, {"GroupId": group, "VpcId": properties["VpcId"], "Rules": _rules({})})
    return _changed_group(place, made, properties)


def _changed_group(place: Place, made: Made, properties: Properties) -> Made:
    group, wanted = made.physical_resource_id, _rules(properties)
    for kind, rules in made.attributes["Rules"].items():
        for rule in [rule for rule in rules if rule not in wanted[kind]]:
            _revoke(place, kind, group, rule)
    for kind, rules in wanted.items():
        for rule in [rule for rule in rules if rule not in made.attributes["Rules"][kind]]:
            _allow(place, kind, group, rule)
    return Made(group, {**made.attributes, "Rules": wanted})


def _rules(properties: Properties) -> dict[str, Sequence[Properties]]:
    return {
        "ingress": properties.get("SecurityGroupIngress", []),
        "egress": properties.get("SecurityGroupEgress") or [ANYWHERE],
    }


def _delete_group(place: Place, _: Properties) -> None:
    client("ec2", place).delete_security_group(GroupId=place.name)


def _add(kind: str) -> Callable[[Place, Properties], Made]:
    def add(place: Place, properties: Properties) -> Made:
        rule = _allow(place, kind, properties["GroupId"], properties)
        return Made(rule, {"Id": rule, "Rule": properties})

    return add


def _change(kind: str) -> Callable[[Place, Made, Properties], Made]:
    def change(place: Place, made: Made, properties: Properties) -> Made:
        old = made.attributes["Rule"]
        _revoke(place, kind, old["GroupId"], old)
        return _add(kind)(place, properties)

    return change


def _remove(kind: str) -> Api:
    def remove(place: Place, properties: Properties) -> None:
        _revoke(place, kind, properties["GroupId"], properties)

    return remove


def _block(place: Place, properties: Properties) -> Made:
    """A block of addresses of a VPC."""
    given = {key: properties[key] for key in ("VpcId", "CidrBlock") if key in properties}
    provided = str(properties.get("AmazonProvidedIpv6CidrBlock", False)).lower() == "true"
    answer = client("ec2", place).associate_vpc_cidr_block(
        **given, **({"AmazonProvidedIpv6CidrBlock": True} if provided else {})
    )
    association = answer.get("Ipv6CidrBlockAssociation") or answer["CidrBlockAssociation"]
    return Made(association["AssociationId"], {"Id": association["AssociationId"]})


def _delete_block(place: Place, _: Properties) -> None:
    client("ec2", place).disassociate_vpc_cidr_block(AssociationId=place.name)


def _ipv6_blocks(vpc: Any, account: str, region: str) -> list[str]:
    found = client("ec2", Place("", account, region)).describe_vpcs(VpcIds=[vpc.id])["Vpcs"][0]
    return [each["Ipv6CidrBlock"] for each in found.get("Ipv6CidrBlockAssociationSet", [])]


def _way_out(place: Place, properties: Properties) -> Made:
    answer = client("ec2", place).create_egress_only_internet_gateway(VpcId=properties["VpcId"])
    gateway = answer["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    return Made(gateway, {"Id": gateway})


def _delete_way_out(place: Place, _: Properties) -> None:
    ec2 = client("ec2", place)
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=place.name)


def _delete_route_table(table: Any, account: str, region: str) -> None:
    """moto's own stays when its stack goes, and then the VPC cannot go either."""
    ec2 = client("ec2", Place("", account, region))
    for association in list(table.associations):
        ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route_table(RouteTableId=table.id)


EXTRA["AWS::EC2::VPC", "Ipv6CidrBlocks"] = _ipv6_blocks
RouteTable.delete = _delete_route_table  # type: ignore[attr-defined, unused-ignore]
add_type("AWS::EC2::VPCCidrBlock", _block, delete=_delete_block)
add_type("AWS::EC2::EgressOnlyInternetGateway", _way_out, delete=_delete_way_out)
add_type(
    "AWS::EC2::SecurityGroup",
    _group,
    update=_changed_group,
    delete=_delete_group,
    name_property="GroupName",
)
for _kind in PEERS:
    add_type(
        f"AWS::EC2::SecurityGroup{_kind.title()}",
        _add(_kind),
        update=_change(_kind),
        delete=_remove(_kind),
    )
