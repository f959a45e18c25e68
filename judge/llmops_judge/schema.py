"""The published JSON Schema of a policy's table, made from the classes that read it.

    python -m llmops_judge.schema        writes policy.schema.json beside this file

Types, defaults and choices come from the fields, descriptions from the classes' docstrings. What
a schema cannot say (that some metric must have the mode `rollback`, that `maximum_minutes` is above
`minimum_minutes`) only `Policy.from_settings` checks.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

from llmops_judge import policy
from llmops_judge.policy import CATALOGUE, Golden, Metric, Policy
from llmops_judge.scales import Scale

FILE = Path(__file__).with_name("policy.schema.json")
DRAFT = "https://json-schema.org/draft/2020-12/schema"

SHARE = {"exclusiveMinimum": 0, "exclusiveMaximum": 1}
FACTOR = {"exclusiveMinimum": 1, "maximum": 10}
RANGES: Mapping[tuple[type, str], Mapping[str, float]] = {
    (Policy, "alpha"): SHARE,
    (Policy, "beta"): SHARE,
    (Policy, "minimum_requests"): {"minimum": 1},
    (Policy, "minimum_minutes"): {"minimum": 0},
    (Policy, "maximum_minutes"): {"exclusiveMinimum": 0},
    (Policy, "maximum_requests"): {"minimum": 1},
    (Policy, "outage_factor"): {"exclusiveMinimum": 1},
    (Golden, "minimum"): {"minimum": 0, "maximum": 1},
    (Golden, "alpha"): SHARE,
    (Metric, "tail_margin"): SHARE,
    (Metric, "minimum"): {"minimum": 1},
}
"""What `__post_init__` allows; a metric's margin depends on its scale."""
ENTRY = re.compile(r"^([a-z_]+(?:, [a-z_]+)*): (.*)$")


def schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    table = _table(Policy, exclude=("golden", "metrics"))
    table["properties"]["golden"] = _table(Golden)
    table["properties"]["metrics"] = {
        "type": "object",
        "description": "The metrics: those of the catalogue, and any of the user's own.",
        "properties": {name: _metric(metric) for name, metric in CATALOGUE.items()},
        "additionalProperties": _metric(Metric("any")),
    }
    return {
        "$schema": DRAFT,
        "title": "The judge's policy",
        **table,
        "$defs": {"metric": _table(Metric, exclude=("name",))},
    }


def text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def descriptions(of: type) -> dict[str, str]:
    """Field -> what the class's docstring says of it."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(of.__doc__ or "").splitlines():
        entry = ENTRY.match(line)
        if entry:
            names = entry[1].split(", ")
            found.update(dict.fromkeys(names, entry[2]))
        elif line.startswith("    ") and names:
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
        else:
            names = []
    return {name: _sentence(told) for name, told in found.items()}


def _sentence(told: str) -> str:
    return told[0].upper() + told[1:]


def _table(of: type, exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    told = descriptions(of)
    return {
        "type": "object",
        "description": inspect.cleandoc(of.__doc__ or "").splitlines()[0],
        "additionalProperties": False,
        "properties": {
            each.name: _property(of, each, told.get(each.name, ""))
            for each in fields(of)
            if each.name not in exclude
        },
    }


def _property(of: type, each: Field[Any], description: str) -> dict[str, Any]:
    kind = str(each.type)
    found: dict[str, Any] = {"description": description, **_type(kind)}
    found.update(RANGES.get((of, each.name), {}))
    if each.default is not MISSING and of is not Metric:
        default = each.default
        found["default"] = list(default) if isinstance(default, tuple) else default
    return found


def _type(kind: str) -> dict[str, Any]:
    if kind.startswith("tuple["):
        item = _type(kind.removeprefix("tuple[").removesuffix(", ...]"))
        return {"type": "array", "items": item}
    name = kind.removesuffix(" | None")
    types = {"float": "number", "int": "integer", "str": "string"}
    if name in types:
        return {"type": [types[name], "null"] if name != kind else types[name]}
    return {"enum": list(get_args(Scale if name == "Scale" else getattr(policy, name)))}


def _metric(default: Metric) -> dict[str, Any]:
    """A metric's table: what it may hold depends on the scale, which has a default."""
    defaults = {each.name: getattr(default, each.name) for each in fields(Metric)}
    defaults.pop("name")
    return {
        "$ref": "#/$defs/metric",
        "default": defaults,
        "allOf": [_for_scale(default, scale) for scale in get_args(Scale)],
    }


def _for_scale(default: Metric, scale: str) -> dict[str, Any]:
    same: dict[str, Any] = {"properties": {"scale": {"const": scale}}}
    if scale != default.scale:
        same["required"] = ["scale"]
    statistics = ["share"] if scale == "share" else ["mean", "p95"]
    margin = FACTOR if scale == "ratio" else SHARE
    then: dict[str, Any] = {
        "properties": {"statistic": {"enum": statistics}, "margin": dict(margin)},
        "required": [],
    }
    if default.statistic not in statistics:
        then["required"].append("statistic")
    if not _fits(default.margin, margin):
        then["required"].append("margin")
    return {"if": same, "then": then}


def _fits(value: float, bounds: Mapping[str, float]) -> bool:
    return (
        value > bounds["exclusiveMinimum"]
        and value < bounds.get("exclusiveMaximum", value + 1)
        and value <= bounds.get("maximum", value)
    )


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
