"""What the cloud remembers of stacks, their resources, events and change sets."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from llmops_localcloud.cloudformation.errors import ChangeSetNotFound, no_such_stack
from llmops_localcloud.cloudformation.template import Template


@dataclass
class Resource:
    """One resource of a stack; `model` is what the emulation made."""

    logical_id: str
    kind: str
    definition: Mapping[str, Any]
    properties: Mapping[str, Any]
    model: Any
    physical_id: str
    status: str
    timestamp: datetime
    reason: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Event:
    """One line of DescribeStackEvents."""

    logical_id: str
    physical_id: str
    kind: str
    status: str
    timestamp: datetime
    reason: str | None = None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Stack:
    """One stack, from its first change set to its deletion."""

    stack_id: str
    name: str
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)
    role_arn: str | None = None
    capabilities: list[str] = field(default_factory=list)
    notification_arns: list[str] = field(default_factory=list)
    termination_protection: bool = False
    disable_rollback: bool = False
    policy: str = ""
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    updated: datetime | None = None
    deleted: datetime | None = None
    change_set_id: str | None = None
    text: str = ""
    template: Template = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    replaced: list[Resource] = field(default_factory=list)
    """Resources that gave way to a new one and are to be removed when all has gone well."""
    outputs: list[dict[str, str]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exports(self) -> dict[str, str]:
        """The values other stacks can import, by name."""
        return {
            output["ExportName"]: output["OutputValue"]
            for output in self.outputs
            if "ExportName" in output
        }


@dataclass
class ChangeSet:
    """A proposed change of a stack."""

    change_set_id: str
    name: str
    kind: str
    stack: Stack
    text: str
    template: Template
    parameters: dict[str, str]
    created: datetime
    changes: list[dict[str, Any]]
    description: str | None = None
    tags: dict[str, str] | None = None
    role_arn: str | None = None
    capabilities: list[str] = field(default_factory=list)
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    execution: str = "AVAILABLE"
    on_failure: str | None = None


class Shelf:
    """The stacks of one account in one region. Safe from any thread."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.lock = threading.RLock()
        self.stacks: dict[str, Stack] = {}
        self.change_sets: dict[str, ChangeSet] = {}

    def arn(self, kind: str, name: str) -> str:
        """A new ARN of CloudFormation: kind 'stack' or 'changeSet'."""
        return f"arn:aws:cloudformation:{self.region}:{self.account}:{kind}/{name}/{uuid.uuid4()}"

    def living(self, name_or_id: str) -> Stack | None:
        """The stack of that name or ID that is not deleted."""
        for stack in self.stacks.values():
            if name_or_id in (stack.name, stack.stack_id) and stack.status != "DELETE_COMPLETE":
                return stack
        return None

    def find(self, name_or_id: str) -> Stack:
        """The stack; a deleted one only by its ID. Raises ValidationError."""
        stack = self.stacks.get(name_or_id) or self.living(name_or_id)
        if stack is None:
            raise no_such_stack(name_or_id)
        return stack

    def change_set(self, name_or_id: str, stack_name: str | None) -> ChangeSet:
        """The newest change set of that name or ID. Raises ChangeSetNotFound."""
        for change_set in reversed(self.change_sets.values()):
            named = change_set.name == name_or_id and (
                stack_name in (None, change_set.stack.name, change_set.stack.stack_id)
            )
            if name_or_id == change_set.change_set_id or named:
                return change_set
        raise ChangeSetNotFound(f"ChangeSet [{name_or_id}] does not exist")

    def export(self, name: str) -> tuple[Stack, str] | None:
        """The stack that exports a name, and the value."""
        for stack in self.stacks.values():
            if name in stack.exports and stack.status != "DELETE_COMPLETE":
                return stack, stack.exports[name]
        return None

    def importers(self, export: str) -> list[str]:
        """The names of the stacks that import an export."""
        return sorted(
            stack.name
            for stack in self.stacks.values()
            if export in stack.imports and stack.status != "DELETE_COMPLETE"
        )
