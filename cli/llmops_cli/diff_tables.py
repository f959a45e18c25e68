"""A difference of templates as text, and as a comment under a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from llmops_runbooks.diff import CONTENT, Difference, PathChange, ResourceChange, StackChange

SIGNS = {"add": "+", "remove": "-", "change": "~"}
WIDEST = 88
"""Characters of a value that are shown; `--json` has all of it."""


def text(found: Difference) -> Iterator[str]:
    """What to look at first, then every stack."""
    yield headline(found)
    first = list(warnings(found))
    if first:
        yield ""
        yield "Look at this first"
        yield from (f"  {line}" for line in first)
    for stack in found.stacks:
        yield ""
        yield f"{stack.stack} ({stack.kind}): {counts(stack)}"
        yield from (f"  {line}" for line in details(stack))


def markdown(found: Difference) -> Iterator[str]:
    """The same; each stack can be unfolded."""
    yield f"### {headline(found)}"
    first = list(warnings(found))
    if first:
        yield ""
        yield "**Look at this first**"
        yield from fenced(first)
    for stack in found.stacks:
        yield ""
        yield "<details>"
        yield f"<summary><code>{stack.stack}</code> ({stack.kind}): {counts(stack)}</summary>"
        yield from fenced(list(details(stack)))
        yield "</details>"


def headline(found: Difference) -> str:
    """`prod against what is deployed: 2 stacks change, 4 do not`."""
    if not found.stacks:
        return f"{found.environment} against {found.against}: no change"
    return (
        f"{found.environment} against {found.against}: {_stacks(len(found.stacks))}, "
        f"{len(found.same)} do not"
    )


def warnings(found: Difference) -> Iterator[str]:
    """Data that would be replaced or go, then permissions and ways through the network."""
    for stack in found.stacks:
        for resource in stack.resources:
            fate = _fate(resource)
            if fate:
                yield f"! {stack.stack}: {resource.type} {resource.logical_id} {fate}"
    for stack in found.stacks:
        for resource in stack.resources:
            if resource.security:
                yield f"{stack.stack}: {resource.type} {resource.logical_id}"
                yield from (f"{line[0]}   {line[2:]}" for line in resource.security)


def counts(stack: StackChange) -> str:
    """`3 to add, 1 to change`."""
    found = Counter[str](each.action for each in stack.resources)
    parts = [f"{found[action]} to {action}" for action in SIGNS if found[action]]
    return ", ".join(parts) or "no resource"


def details(stack: StackChange) -> Iterator[str]:
    """A line for each resource, and for each property of it that changes."""
    for resource in stack.resources:
        fate = _fate(resource)
        told = f" ({fate})" if fate else ""
        yield f"{SIGNS[resource.action]} {resource.type} {resource.logical_id}{told}"
        yield from (f"    {_path(change)}" for change in resource.paths)
    for change in stack.sections:
        yield f"~ {_path(change)}"


def fenced(lines: list[str]) -> Iterator[str]:
    """A block that GitHub colours by the first character of each line; nothing in it can end it."""
    yield ""
    yield "```diff"
    yield from (line.replace("```", "'''") for line in lines)
    yield "```"


def _fate(resource: ResourceChange) -> str:
    """What becomes of the data of a resource, where something does."""
    data = "its data goes" if resource.lost else "its data is kept aside"
    if resource.action == "remove" and resource.stateful:
        return f"is removed: {data}"
    if resource.replaced:
        certain = resource.replaced == "yes"
        return f"is replaced: {data}" if certain else f"may be replaced: then {data}"
    return ""


def _path(change: PathChange) -> str:
    name = change.path.removeprefix("Properties.")
    if change.after == CONTENT:
        return f"{name}: another {CONTENT}"
    return f"{name}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    shown = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    shown = " ".join(shown.split())
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 1]}…"


def _stacks(count: int) -> str:
    return "1 stack changes" if count == 1 else f"{count} stacks change"
