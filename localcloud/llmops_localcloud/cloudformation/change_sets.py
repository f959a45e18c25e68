"""Change sets: what would change, and doing it."""

from __future__ import annotations

import re

from llmops_localcloud.cloudformation.changes import plan
from llmops_localcloud.cloudformation.engine import Engine
from llmops_localcloud.cloudformation.errors import (
    AlreadyExists,
    InvalidChangeSetStatus,
    ValidationError,
)
from llmops_localcloud.cloudformation.stacks import ChangeSet, Stack
from llmops_localcloud.cloudformation.template import Template

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a "
    "change set."
)
NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")


class ChangeSets:
    """Makes and executes the change sets of one engine's stacks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shelf = engine.shelf

    def kind(self, asked: str | None, stack: Stack | None, name: str) -> str:
        """CREATE or UPDATE, checked against the stack there is. Raises ValidationError."""
        asked = asked or "UPDATE"
        unborn = stack is None or stack.status == "REVIEW_IN_PROGRESS"
        if asked == "CREATE" and not unborn:
            raise ValidationError(
                f"Stack [{name}] already exists and cannot be created again with the changeSet "
                f"[{asked}]."
            )
        if asked == "UPDATE" and unborn:
            raise ValidationError(f"Stack [{name}] does not exist")
        if stack is not None and stack.busy:
            raise ValidationError(
                f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            )
        if stack is not None and stack.status == "ROLLBACK_COMPLETE":
            raise ValidationError(
                f"Stack:{stack.stack_id} is in ROLLBACK_COMPLETE state and can not be updated."
            )
        return asked

    def make(
        self,
        name: str,
        kind: str,
        *,
        stack: Stack,
        text: str,
        template: Template,
        values: dict[str, str],
    ) -> ChangeSet:
        """A change set, ready to execute; FAILED if it changes nothing."""
        self._check_name(name, stack)
        if kind == "CREATE" and not stack.events:
            self._engine.note(stack, "REVIEW_IN_PROGRESS", "User Initiated")
        change_set = ChangeSet(
            self._shelf.arn("changeSet", name),
            name,
            kind,
            stack,
            text,
            template,
            values,
            self._engine.clock.now(),
            plan(stack, template, values),
        )
        outputs_differ = template.get("Outputs") != stack.template.get("Outputs")
        if kind == "UPDATE" and not change_set.changes and not outputs_differ:
            change_set.status, change_set.execution = "FAILED", "UNAVAILABLE"
            change_set.reason = NO_CHANGES
        self._shelf.change_sets[change_set.change_set_id] = change_set
        return change_set

    def execute(self, change_set: ChangeSet) -> None:
        """Start the operation. Raises InvalidChangeSetStatus unless it is AVAILABLE."""
        if change_set.execution != "AVAILABLE":
            raise InvalidChangeSetStatus(
                f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current "
                f"execution status of [{change_set.execution}]"
            )
        stack = change_set.stack
        start = self._engine.create if change_set.kind == "CREATE" else self._engine.update
        if change_set.tags:
            stack.tags = change_set.tags
        stack.capabilities = change_set.capabilities
        stack.change_set_id = change_set.change_set_id
        start(stack, change_set.text, change_set.template, change_set.parameters)
        change_set.execution = "EXECUTE_COMPLETE"
        self._make_others_obsolete(change_set)

    def _check_name(self, name: str, stack: Stack) -> None:
        if not NAME.fullmatch(name or ""):
            raise ValidationError(
                f"1 validation error detected: Value '{name}' at 'changeSetName' failed to "
                "satisfy constraint: Member must satisfy regular expression pattern: "
                "[a-zA-Z][-a-zA-Z0-9]*"
            )
        taken = [c for c in self._shelf.change_sets.values() if c.stack is stack]
        if any(c.name == name and c.execution != "EXECUTE_COMPLETE" for c in taken):
            raise AlreadyExists(f"ChangeSet {name} already exists")

    def _make_others_obsolete(self, executed: ChangeSet) -> None:
        for other in list(self._shelf.change_sets.values()):
            if other.stack is executed.stack and other.execution == "AVAILABLE":
                other.execution = "OBSOLETE"
