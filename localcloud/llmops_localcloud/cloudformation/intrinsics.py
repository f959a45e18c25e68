"""Resolving a template's functions: Ref, Fn::GetAtt, Fn::Sub and the rest, conditions included."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.template import SUBSTITUTION, Template

NO_VALUE = object()
"""What `AWS::NoValue` resolves to; the property that has it is left out."""

Resolve = Callable[[Any], Any]


class Scope:
    """The names a template can refer to, and how each resolves.

    `resource(logical_id)` gives what Ref gives, `attribute(logical_id, name)` what GetAtt gives,
    `import_value(export)` another stack's export; each raises ValidationError if there is none.
    """

    def __init__(
        self,
        template: Template,
        *,
        parameters: Mapping[str, Any],
        pseudo: Mapping[str, Any],
        resource: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
        import_value: Callable[[str], str],
    ) -> None:
        self._template = template
        self._parameters = parameters
        self._pseudo = {**pseudo, "AWS::NoValue": NO_VALUE}
        self._resource = resource
        self._attribute = attribute
        self._import_value = import_value

    def resolve(self, value: Any) -> Any:
        """The value with every function carried out."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            function = _FUNCTIONS.get(name)
            # An IAM statement has a Condition of its own.
            if function is not None and (name != "Condition" or isinstance(argument, str)):
                return function(self, argument)
        resolved = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        conditions = self._template.get("Conditions", {})
        if name not in conditions:
            raise ValidationError(f"Template format error: Unresolved condition dependency {name}")
        return bool(self.resolve(conditions[name]))

    def wanted(self, resource: Mapping[str, Any]) -> bool:
        """Whether a resource's condition, if it has one, holds."""
        return "Condition" not in resource or self.condition(resource["Condition"])

    def ref(self, name: str) -> Any:
        """What `Ref` of a name gives."""
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        return self._resource(name)

    def get_att(self, argument: Any) -> Any:
        """What `Fn::GetAtt` gives; the argument is a pair or 'Resource.Attribute'."""
        pair = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._attribute(pair[0], str(self.resolve(pair[1])))

    def sub(self, argument: Any) -> str:
        """What `Fn::Sub` gives."""
        text, given = argument if isinstance(argument, list) else (argument, {})
        bound = {name: self.resolve(value) for name, value in given.items()}

        def value(match: re.Match[str]) -> str:
            literal, name = match.group(1), match.group(2).strip()
            if literal:
                return "${" + name + "}"
            if name in bound:
                return _text(bound[name])
            return _text(self.get_att(name) if "." in name else self.ref(name))

        return SUBSTITUTION.sub(value, text)

    def find_in_map(self, argument: list[Any]) -> Any:
        """What `Fn::FindInMap` gives."""
        mapping, first, second = (self.resolve(item) for item in argument[:3])
        try:
            return self._template["Mappings"][mapping][first][second]
        except KeyError as error:
            if len(argument) > 3 and "DefaultValue" in argument[3]:
                return self.resolve(argument[3]["DefaultValue"])
            raise ValidationError(
                f"Template error: Unable to get mapping for {mapping}::{first}::{second}"
            ) from error

    def import_value(self, argument: Any) -> str:
        """What `Fn::ImportValue` gives."""
        return self._import_value(str(self.resolve(argument)))

    def zones(self, argument: Any) -> list[str]:
        """What `Fn::GetAZs` gives: three zones, as most regions have."""
        region = self.resolve(argument) or self._pseudo["AWS::Region"]
        return [f"{region}{letter}" for letter in "abc"]

    def either(self, argument: list[Any]) -> Any:
        """What `Fn::If` gives."""
        return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])

    def equals(self, argument: list[Any]) -> bool:
        """What `Fn::Equals` gives: CloudFormation compares text."""
        left, right = (self.resolve(item) for item in argument)
        return _text(left) == _text(right)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _select(scope: Scope, argument: list[Any]) -> Any:
    index, items = (scope.resolve(item) for item in argument)
    try:
        return items[int(index)]
    except (IndexError, ValueError) as error:
        raise ValidationError(
            "Template error: Fn::Select cannot select nonexistent value at index " + str(index)
        ) from error


def _join(scope: Scope, argument: list[Any]) -> str:
    return str(argument[0]).join(_text(item) for item in scope.resolve(argument[1]))


def _split(scope: Scope, argument: list[Any]) -> list[str]:
    return str(scope.resolve(argument[1])).split(argument[0])


def _base64(scope: Scope, argument: Any) -> str:
    return base64.b64encode(str(scope.resolve(argument)).encode()).decode()


def _cidr(scope: Scope, argument: list[Any]) -> list[str]:
    block, count, bits = [scope.resolve(item) for item in [*argument, 8][:3]]
    network = ipaddress.ip_network(block)
    subnets = network.subnets(new_prefix=network.max_prefixlen - int(bits))
    return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]


_FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Ref": Scope.ref,
    "Fn::GetAtt": Scope.get_att,
    "Fn::Sub": Scope.sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::If": Scope.either,
    "Fn::FindInMap": Scope.find_in_map,
    "Fn::ImportValue": Scope.import_value,
    "Fn::GetAZs": Scope.zones,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::Length": lambda scope, argument: len(scope.resolve(argument)),
    "Fn::ToJsonString": lambda scope, argument: json.dumps(scope.resolve(argument)),
    "Fn::Equals": Scope.equals,
    "Fn::And": lambda scope, argument: all(scope.resolve(item) for item in argument),
    "Fn::Or": lambda scope, argument: any(scope.resolve(item) for item in argument),
    "Fn::Not": lambda scope, argument: not scope.resolve(argument[0]),
    "Condition": lambda scope, argument: scope.condition(argument),
}
