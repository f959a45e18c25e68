"""Writes docs/settings.md from the tables of settings: `uv run python docs/make_settings.py`.

A key's type, bounds and default come from pydantic's model, its meaning from the docstring under
the field, which only the source has.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from llmops_runbooks import settings
from llmops_runbooks.service_tables import Table

PAGE = Path(__file__).with_name("settings.md")
WORDS = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
ELSEWHERE = {"judge": "[The judge](judge.md) and `llmops judge lint` list its keys."}
"""Tables whose keys are checked by somebody else's model."""

INTRODUCTION = """\
# Settings

Made by `docs/make_settings.py` from the tables that check `llmops.toml`.

A key at the top of `llmops.toml` is the default of every environment. A table `[env.NAME]` makes \
an environment and overrides what differs: `[env.prod.database]` is the table `database` of \
`prod`. `default_environment` names the one that a command means when it is told none. A key that \
is not here is an error.

For one command an environment variable overrides a key: `LLMOPS_` and the key in capitals, tables \
joined by two underscores, e.g. `LLMOPS_DATABASE__BACKUP_DAYS=14`. A default of none cannot be \
written in TOML: leave the key out.

## Keys of an environment"""


def meanings(table: type[Table]) -> dict[str, str]:
    """The docstring under each field of a table, as one line."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(sys.modules[table.__module__])).body
        if isinstance(node, ast.ClassDef) and node.name == table.__name__
    )
    found = {}
    for field, after in pairwise(body):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def kind(annotation: Any) -> str:
    """A type as a reader of TOML knows it."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{_toml(value)}`" for value in inside)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(each) for each in inside if each is not type(None))
    if origin is tuple:
        return f"list of {kind(inside[0])}"
    if hasattr(annotation, "__metadata__"):
        return _bounded(kind(inside[0]), annotation.__metadata__)
    return WORDS.get(getattr(annotation, "__name__", ""), "table")


def _bounded(what: str, constraints: tuple[Any, ...]) -> str:
    for constraint in constraints:
        inner = constraint.metadata if isinstance(constraint, FieldInfo) else [constraint]
        for each in inner:
            what += _bound(each)
    return what


def _bound(constraint: Any) -> str:
    for name, word in BOUNDS.items():
        if (limit := getattr(constraint, name, None)) is not None:
            return f", {word} {limit}"
    if step := getattr(constraint, "multiple_of", None):
        return f", in steps of {step}"
    pattern = getattr(constraint, "pattern", None)
    return f", `{pattern}`" if pattern else ""


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def default(field: FieldInfo) -> str:
    """The default as one would write it."""
    if field.is_required():
        return "needed"
    return "none" if field.default is None else f"`{_toml(field.default)}`"


def tables(table: type[Table]) -> Iterator[tuple[str, type[Table], FieldInfo]]:
    """The fields of a table that are tables themselves, with their models."""
    for name, field in table.model_fields.items():
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, Table):
                yield name, each, field


def section(path: str, table: type[Table]) -> Iterator[str]:
    """A table of keys, and the sections of the tables in it."""
    inner = {name: model for name, model, _ in tables(table)}
    told = meanings(table)
    rows = [
        _row(name, field, told.get(name, ""))
        for name, field in table.model_fields.items()
        if name not in inner and name not in ELSEWHERE and (path, name) != ("", "name")
    ]
    yield "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])
    for name, model, field in tables(table):
        full = f"{path}.{name}".strip(".")
        yield f"## [{full}]"
        absent = " The table may be left out." if field.default is None else ""
        yield (inspect.getdoc(model) or "") + absent
        yield from section(full, model)


def _row(name: str, field: FieldInfo, meaning: str) -> str:
    what = _bounded(kind(field.annotation), tuple(field.metadata))
    cells = (f"`{name}`", what, default(field), meaning)
    return f"| {' | '.join(re.sub(r'[|]', chr(92) + '|', cell) for cell in cells)} |"


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *section("", settings.Environment)]
    for name, where in ELSEWHERE.items():
        parts += [f"## [{name}]", f"What a rollout is judged by. {where}"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
