"""Checks the raw JSON of an AWS answer against botocore's output shape.

Stricter than a client: a member the model does not know, a value outside an enum, a required
member that is missing and a wrong type are all faults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float),
    "map": (dict,),
    "list": (list,),
    "structure": (dict,),
}


def faults(value: Any, shape: Any, path: str = "answer") -> Iterator[str]:
    """Everything in which `value` differs from the botocore shape, one sentence each."""
    if not _has_type(value, shape.type_name):
        yield f"{path} should be a {shape.type_name}, not {value!r}"
    elif shape.type_name == "structure":
        yield from _structure_faults(value, shape, path)
    elif shape.type_name == "list":
        for number, item in enumerate(value):
            yield from faults(item, shape.member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from faults(item, shape.value, f"{path}[{key}]")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{path} is {value!r}, which is none of {shape.enum}"


def _has_type(value: Any, name: str) -> bool:
    """bool is no number here, though Python says so."""
    wrong_bool = isinstance(value, bool) and bool not in _TYPES[name]
    return isinstance(value, _TYPES[name]) and not wrong_bool


def _structure_faults(value: dict[str, Any], shape: Any, path: str) -> Iterator[str]:
    if shape.is_document_type:
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{path}.{name} is required and missing"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{path}.{name} is not in the model"
        else:
            yield from faults(item, shape.members[name], f"{path}.{name}")


def check_every_answer(client: Any) -> None:
    """Makes every call on this boto3 client fail if the raw answer does not fit the model."""

    def check(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] >= 300 or operation_model.output_shape is None:
            return
        found = list(
            faults(json.loads(response_dict["body"] or "{}"), operation_model.output_shape)
        )
        assert not found, f"{operation_model.name}: " + "; ".join(found)

    client.meta.events.register("before-parse", check)
