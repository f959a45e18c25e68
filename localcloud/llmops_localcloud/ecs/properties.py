"""CloudFormation properties to API parameters, led by botocore's model of the call.

CloudFormation spells names in PascalCase and allows numbers and booleans as strings; maps keep
their keys, and free JSON (`HookDetails`), which may also be written as a string, is kept as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmops_localcloud.ecs.errors import InvalidParameterException
from llmops_localcloud.ecs.requests import service_model


def to_parameters(operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidParameterException for a property the call does not have."""
    shape = service_model().operation_model(operation).input_shape
    converted: dict[str, Any] = _structure(properties, shape, "")
    return converted


def _convert(value: Any, shape: Any, path: str) -> Any:
    if shape.type_name == "structure":
        return _document(value) if shape.is_document_type else _structure(value, shape, path)
    if shape.type_name == "list":
        return [_convert(each, shape.member, path) for each in _listed(value)]
    if shape.type_name == "map":
        return {key: _convert(each, shape.value, path) for key, each in value.items()}
    return _scalar(value, shape.type_name)


def _structure(value: Mapping[str, Any], shape: Any, path: str) -> dict[str, Any]:
    names = {name.lower(): name for name in shape.members}
    converted: dict[str, Any] = {}
    for key, each in value.items():
        name = names.get(key.lower())
        if name is None:
            raise InvalidParameterException(
                f"Property {path}{key} is not emulated by the local cloud: leave it out."
            )
        converted[name] = _convert(each, shape.members[name], f"{path}{key}.")
    return converted


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _scalar(value: Any, kind: str) -> Any:
    if kind in {"integer", "long"}:
        return int(value)
    if kind in {"double", "float"}:
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
