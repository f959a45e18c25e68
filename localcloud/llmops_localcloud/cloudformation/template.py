"""Reading a template: text to tables, parameters, conditions, order of creation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml  # type: ignore[import-untyped]
from moto.cloudformation.utils import yaml_tag_constructor

from llmops_localcloud.cloudformation.errors import InsufficientCapabilities, ValidationError

Template = dict[str, Any]

SUBSTITUTION = re.compile(r"\$\{(!?)([^}]+)\}")
NAMED_IAM = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
}
IAM_TYPES = {*NAMED_IAM, "AWS::IAM::Policy", "AWS::IAM::AccessKey", "AWS::IAM::UserToGroupAddition"}


class _Loader(yaml.SafeLoader):
    """Safe YAML with CloudFormation's short tags, such as !Ref."""


_Loader.add_multi_constructor("", yaml_tag_constructor)


def parse(text: str) -> Template:
    """The template of a text, JSON or YAML. Raises ValidationError."""
    try:
        template = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise ValidationError(f"Template format error: {error}") from error
    resources = template.get("Resources") if isinstance(template, dict) else None
    if not isinstance(resources, dict) or not resources:
        raise ValidationError(
            "Template format error: At least one Resources member must be defined."
        )
    for logical_id, resource in resources.items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise ValidationError(
                f"Template format error: [/Resources/{logical_id}] Every Resources object must "
                "contain a Type member."
            )
    return dict(template)


def references(value: Any) -> Iterator[str]:
    """The names that a part of a template refers to: resources, parameters, pseudo parameters."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key == "Ref" and isinstance(inner, str):
            yield inner
        elif key == "Fn::GetAtt":
            yield inner.split(".", 1)[0] if isinstance(inner, str) else inner[0]
        elif key == "Fn::Sub":
            yield from _substituted(inner)
        else:
            yield from references(inner)


def dependencies(template: Template, logical_id: str) -> set[str]:
    """The resources that must exist before this one."""
    resource = template["Resources"][logical_id]
    explicit = resource.get("DependsOn", [])
    named = {explicit} if isinstance(explicit, str) else set(explicit)
    named.update(references(resource.get("Properties", {})))
    return (named & set(template["Resources"])) - {logical_id}


def creation_order(template: Template) -> list[str]:
    """Every resource after those it needs. Raises ValidationError for a circle."""
    graph = {name: dependencies(template, name) for name in template["Resources"]}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = ", ".join(sorted(set(error.args[1])))
        raise ValidationError(f"Circular dependency between resources: [{circle}]") from error


def check_references(template: Template) -> None:
    """Raises ValidationError if the template refers to something it does not define."""
    known = {*template["Resources"], *template.get("Parameters", {})}
    for part in ("Resources", "Outputs"):
        used = {name for name in references(template.get(part, {})) if not name.startswith("AWS::")}
        unknown = sorted(used - known)
        if unknown:
            raise ValidationError(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] "
                f"in the {part} block of the template"
            )


def check_capabilities(template: Template, capabilities: list[str]) -> None:
    """Raises InsufficientCapabilities if IAM resources are made without the caller's word."""
    types = [resource["Type"] for resource in template["Resources"].values()]
    if not any(kind in IAM_TYPES for kind in types) or "CAPABILITY_NAMED_IAM" in capabilities:
        return
    named = any(
        NAMED_IAM.get(resource["Type"], "") in resource.get("Properties", {})
        for resource in template["Resources"].values()
    )
    needed = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
    if needed not in capabilities:
        raise InsufficientCapabilities(f"Requires capabilities : [{needed}]")


def parameter_values(
    template: Template, given: Mapping[str, str], previous: Mapping[str, str]
) -> dict[str, str]:
    """The text of every parameter: given, else previous, else default. Raises ValidationError."""
    declared = template.get("Parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValidationError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values: dict[str, str] = {}
    missing = []
    for name, declaration in declared.items():
        value = given.get(name, previous.get(name, declaration.get("Default")))
        if value is None:
            missing.append(name)
        else:
            values[name] = str(value)
            _check_parameter(name, declaration, values[name])
    if missing:
        raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
    return values


def _check_parameter(name: str, declaration: Mapping[str, Any], value: str) -> None:
    allowed = declaration.get("AllowedValues")
    if allowed is not None and value not in [str(item) for item in allowed]:
        raise ValidationError(f"Parameter '{name}' must be one of AllowedValues")
    pattern = declaration.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        raise ValidationError(f"Parameter '{name}' must match pattern {pattern}")


def _substituted(sub: Any) -> Iterator[str]:
    text, bound = sub if isinstance(sub, list) else (sub, {})
    yield from references(bound)
    for literal, name in SUBSTITUTION.findall(text):
        if not literal and name not in bound:
            yield name.strip().split(".", 1)[0]
