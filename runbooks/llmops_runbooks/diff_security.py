"""Permissions and ways through the network that a change of a resource gives and takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llmops_runbooks.diff_values import flat

Resource = Mapping[str, Any]
DOCUMENTS = frozenset(
    {"AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument", "PolicyText", "ResourcePolicy"}
)
"""Properties that hold an IAM policy, whatever the resource."""
RULES = {
    "AWS::EC2::SecurityGroupIngress": "in",
    "AWS::EC2::SecurityGroupEgress": "out",
}
INLINE_RULES = {"SecurityGroupIngress": "in", "SecurityGroupEgress": "out"}
ENDS = (
    "CidrIp",
    "CidrIpv6",
    "SourceSecurityGroupId",
    "DestinationSecurityGroupId",
    "SourcePrefixListId",
    "DestinationPrefixListId",
)


def changes(old: Resource | None, new: Resource | None) -> Iterator[str]:
    """`+ ` what is allowed from now on, `- ` what is no longer, sorted."""
    before, after = (set(_allowed(body)) if body else set() for body in (old, new))
    yield from (f"- {line}" for line in sorted(before - after))
    yield from (f"+ {line}" for line in sorted(after - before))


def _allowed(body: Resource) -> Iterator[str]:
    kind, properties = body["Type"], body.get("Properties", {})
    for document in _documents(properties):
        statements = document.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            yield _statement(statement)
    for arn in properties.get("ManagedPolicyArns", ()) if kind == "AWS::IAM::Role" else ():
        yield f"managed policy {_short(arn)}"
    if kind in RULES:
        yield _rule(RULES[kind], properties)
    if kind == "AWS::EC2::SecurityGroup":
        for name, way in INLINE_RULES.items():
            yield from (_rule(way, rule) for rule in properties.get(name, ()))
    if kind == "AWS::Lambda::Permission":
        source = f" from {_short(properties['SourceArn'])}" if "SourceArn" in properties else ""
        yield (
            f"Allow {_short(properties.get('Action'))} on "
            f"{_short(properties.get('FunctionName'))} to "
            f"{_short(properties.get('Principal'))}{source}"
        )


def _documents(value: Any) -> Iterator[Mapping[str, Any]]:
    """Each IAM policy anywhere inside."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in DOCUMENTS and isinstance(inner, Mapping) and "Statement" in inner:
                yield inner
            else:
                yield from _documents(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _documents(inner)


def _statement(statement: Mapping[str, Any]) -> str:
    words = [str(statement.get("Effect"))]
    for key in ("Action", "NotAction"):
        if key in statement:
            words.append(("not " if key == "NotAction" else "") + _short(statement[key]))
    for key in ("Resource", "NotResource"):
        if key in statement:
            words.append(
                ("on all but " if key == "NotResource" else "on ") + _short(statement[key])
            )
    for key in ("Principal", "NotPrincipal"):
        if key in statement:
            words.append(
                ("to all but " if key == "NotPrincipal" else "to ") + _short(statement[key])
            )
    if statement.get("Condition"):
        words.append(f"if {_short(statement['Condition'])}")
    return " ".join(words)


def _rule(way: str, rule: Mapping[str, Any]) -> str:
    protocol = str(rule.get("IpProtocol", "-1"))
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = "" if first is None else f" {first}" if first == last else f" {first}-{last}"
    ends = ", ".join(_short(rule[name]) for name in ENDS if name in rule)
    group = f" of {_short(rule['GroupId'])}" if "GroupId" in rule else ""
    which = "all protocols" if protocol == "-1" else f"{protocol}{ports}"
    return f"{way}{group}: {which} {'from' if way == 'in' else 'to'} {ends or 'anywhere'}"


def _short(value: Any) -> str:
    plain = flat(value)
    if isinstance(plain, list):
        return ", ".join(_short(each) for each in plain)
    return plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True)
