"""What templates would change against others: those that are deployed, or another assembly's.

Two templates are compared resource by resource and property by property. What a reviewer must not
miss comes first: permissions, ways through the network, and data that would be replaced or go.
Which properties CloudFormation can only change by a new resource is in diff_stateful.toml.

An asset's name is the digest of its content, so that a changed file changes a property in each
resource that uses it: that is told as what it is, a change of content, without the digests.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from llmops_runbooks import diff_security
from llmops_runbooks.diff_values import flat, without_digests
from llmops_runbooks.errors import UsageError

Template = Mapping[str, Any]
Action = Literal["add", "remove", "change"]
STATEFUL = "diff_stateful.toml"
KEPT = ("Retain", "RetainExceptOnCreate", "Snapshot")
SECTIONS = ("Parameters", "Conditions", "Mappings", "Outputs")
INDEX = re.compile(r"\[\d+\]")
CONTENT = "content of an asset"


@dataclass(frozen=True)
class PathChange:
    """One property: None where it is not there."""

    path: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class ResourceChange:
    """One resource, with what changes in it."""

    action: Action
    logical_id: str
    type: str
    paths: tuple[PathChange, ...] = ()
    replaced: str = ""
    """`yes` or `maybe` for data that CloudFormation would make anew; empty: no, or not known."""
    lost: bool = False
    """Whether its data goes: neither its deletion nor its update policy keeps it."""
    security: tuple[str, ...] = ()
    """Permissions and network rules that come (`+ `) and go (`- `)."""

    @property
    def stateful(self) -> bool:
        """Whether it holds data that nothing in the template can make again."""
        return self.type in _create_only()


@dataclass(frozen=True)
class StackChange:
    """One stack: `new`, `gone` or `changed`."""

    stack: str
    kind: Literal["new", "gone", "changed"]
    resources: tuple[ResourceChange, ...] = ()
    sections: tuple[PathChange, ...] = ()
    """Parameters, conditions, mappings and outputs."""


@dataclass(frozen=True)
class Difference:
    """All stacks that differ, in the order they are deployed."""

    environment: str
    against: str
    stacks: tuple[StackChange, ...] = ()
    same: tuple[str, ...] = field(default=())

    def json(self) -> dict[str, Any]:
        """The difference as one object; its schema is the fields of these classes."""
        return asdict(self)


def compare(
    environment: str,
    against: str,
    before: Callable[[str], Template | None],
    after: Mapping[str, Template],
    gone: Sequence[str] = (),
) -> Difference:
    """What it would take to get from `before` to `after`; `gone` are stacks without an after."""
    stacks: list[StackChange] = []
    same: list[str] = []
    for name, template in after.items():
        old = before(name)
        found = _stack(name, old, template)
        if found.resources or found.sections or old is None:
            stacks.append(found)
        else:
            same.append(name)
    for name in gone:
        stacks.append(_stack(name, before(name), None))
    return Difference(environment, against, tuple(stacks), tuple(same))


def templates(folder: Path) -> dict[str, Template]:
    """The templates of an assembly, by stack. Raises UsageError if there is none."""
    found = {
        file.name.removesuffix(".template.json"): json.loads(file.read_text())
        for file in sorted(folder.glob("*.template.json"))
    }
    if not found:
        raise UsageError(
            f"There is no cloud assembly in {folder}.",
            hint="LLMOPS_ENV=NAME CDK_OUTDIR=FOLDER python -P app.py writes one.",
        )
    return found


def _stack(name: str, old: Template | None, new: Template | None) -> StackChange:
    before, after = old or {}, new or {}
    resources = tuple(_resources(before.get("Resources", {}), after.get("Resources", {})))
    sections = tuple(
        change
        for section in SECTIONS
        for change in paths(before.get(section, {}), after.get(section, {}), section)
    )
    kind: Literal["new", "gone", "changed"] = "changed"
    if old is None or new is None:
        kind = "new" if old is None else "gone"
    return StackChange(name, kind, resources, sections)


def _resources(old: Template, new: Template) -> Iterator[ResourceChange]:
    """What goes, what changes, what comes; a new type is another resource by the same name."""
    for name, body in sorted(old.items()):
        if name not in new or new[name]["Type"] != body["Type"]:
            security = tuple(diff_security.changes(body, None))
            lost = body["Type"] in _create_only() and body.get("DeletionPolicy") not in KEPT
            yield ResourceChange("remove", name, body["Type"], lost=lost, security=security)
    for name, body in sorted(new.items()):
        if name in old and old[name]["Type"] == body["Type"]:
            changed = tuple(paths(old[name], body))
            if changed:
                yield _changed(name, old[name], body, changed)
    for name, body in sorted(new.items()):
        if name not in old or old[name]["Type"] != body["Type"]:
            security = tuple(diff_security.changes(None, body))
            yield ResourceChange("add", name, body["Type"], security=security)


def _changed(
    name: str, old: Template, new: Template, changed: tuple[PathChange, ...]
) -> ResourceChange:
    replaced = _replaced(new["Type"], changed)
    return ResourceChange(
        "change",
        name,
        new["Type"],
        changed,
        replaced=replaced,
        lost=bool(replaced) and new.get("UpdateReplacePolicy") not in KEPT,
        security=tuple(diff_security.changes(old, new)),
    )


def paths(old: Any, new: Any, at: str = "") -> Iterator[PathChange]:
    """Every place where two values differ; lists of the same length are compared in order."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not _function(old, new):
        for key in sorted({*old, *new}):
            yield from paths(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from paths(left, right, f"{at}[{index}]")
    elif without_digests(old) == without_digests(new):
        yield PathChange(at, CONTENT, CONTENT)
    else:
        yield PathChange(at, flat(old), flat(new))


def _function(*values: Mapping[str, Any]) -> bool:
    """Whether a value is one of CloudFormation's functions: then it is compared as a whole."""
    return any(
        len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")) for value in values
    )


def _replaced(kind: str, changed: Sequence[PathChange]) -> str:
    known = _create_only().get(kind, {})
    touched = [INDEX.sub("", change.path).removeprefix("Properties.") for change in changed]
    for answer in ("yes", "maybe"):
        for name in known.get(answer, ()):
            if any(path == name or path.startswith(f"{name}.") for path in touched):
                return answer
    return ""


@cache
def _create_only() -> dict[str, dict[str, list[str]]]:
    """Types that hold data; `yes` and `maybe`: properties whose change makes a new resource."""
    text = files("llmops_runbooks").joinpath(STATEFUL).read_text(encoding="utf-8")
    found: dict[str, dict[str, list[str]]] = tomllib.loads(text)["types"]
    return found
