"""Carrying out a stack operation, in the background, one resource after the other, with events."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from llmops_localcloud.cloudformation import dynamic, models
from llmops_localcloud.cloudformation.changes import (
    REPLACING,
    changed_properties,
    replaces,
)
from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.intrinsics import Scope
from llmops_localcloud.cloudformation.names import Names
from llmops_localcloud.cloudformation.stacks import Event, Resource, Shelf, Stack
from llmops_localcloud.cloudformation.template import Template, creation_order
from llmops_localcloud.ports import Clock

STACK = "AWS::CloudFormation::Stack"
NOT_APPLIED = "the local cloud keeps this change in the stack without applying it"


class ResourceFailed(Exception):
    """A resource could not be made, changed or removed; the text is AWS's reason."""


class Engine:
    """Runs operations on the stacks of one shelf; one at a time per stack."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self.shelf = shelf
        self.clock = clock
        self._names = Names(shelf)

    def create(self, stack: Stack, text: str, template: Template, values: dict[str, str]) -> None:
        """Make the stack; roll it back if a resource fails. Returns at once."""
        self._begin(stack, "CREATE_IN_PROGRESS", "User Initiated")
        self._run(stack, lambda: self._create(stack, text, template, values))

    def update(self, stack: Stack, text: str, template: Template, values: dict[str, str]) -> None:
        """Change the stack; put it back if a resource fails. Returns at once."""
        self._begin(stack, "UPDATE_IN_PROGRESS", "User Initiated")
        self._run(stack, lambda: self._update(stack, text, template, values))

    def delete(self, stack: Stack) -> None:
        """Remove the stack and its resources. Returns at once."""
        self._begin(stack, "DELETE_IN_PROGRESS", "User Initiated")
        self._run(stack, lambda: self._delete(stack))

    def note(self, stack: Stack, status: str, reason: str | None = None) -> None:
        """Set the status of the stack and write the event."""
        now = self.clock.now()
        stack.events.append(Event(stack.name, stack.stack_id, STACK, status, now, reason))
        stack.reason = reason
        stack.status = status

    def _begin(self, stack: Stack, status: str, reason: str) -> None:
        with self.shelf.lock:
            if stack.busy:
                raise ValidationError(
                    f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
                )
            self.note(stack, status, reason)

    def _run(self, stack: Stack, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  a stack never stays in progress
                traceback.print_exc()
                failed = stack.status.replace("_IN_PROGRESS", "_FAILED")
                self.note(stack, failed, f"{type(error).__name__}: {error}")

        threading.Thread(target=guarded, name=f"stack-{stack.name}", daemon=True).start()

    def _create(self, stack: Stack, text: str, template: Template, values: dict[str, str]) -> None:
        stack.text, stack.template, stack.parameters = text, template, values
        try:
            self._apply(stack, template, values)
        except ResourceFailed as error:
            self._roll_back_creation(stack, str(error))
        else:
            self.note(stack, "CREATE_COMPLETE")

    def _roll_back_creation(self, stack: Stack, reason: str) -> None:
        if stack.disable_rollback:
            self.note(stack, "CREATE_FAILED", reason)
            return
        self.note(stack, "ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
        clean = self._remove(stack, reversed(list(stack.resources.values())), keep=False)
        self.note(stack, "ROLLBACK_COMPLETE" if clean else "ROLLBACK_FAILED")

    def _update(self, stack: Stack, text: str, template: Template, values: dict[str, str]) -> None:
        before = (stack.text, stack.template, stack.parameters)
        stack.text, stack.template, stack.parameters = text, template, values
        try:
            self._apply(stack, template, values)
        except ResourceFailed as error:
            self._roll_back_update(stack, str(error), before)
            return
        stack.updated = self.clock.now()
        self.note(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up(stack, template)
        self.note(stack, "UPDATE_COMPLETE")

    def _roll_back_update(
        self, stack: Stack, reason: str, before: tuple[str, Template, dict[str, str]]
    ) -> None:
        self.note(stack, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
        stack.text, stack.template, stack.parameters = before
        try:
            self._apply(stack, stack.template, stack.parameters)
        except ResourceFailed as error:
            self.note(stack, "UPDATE_ROLLBACK_FAILED", str(error))
            return
        self.note(stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up(stack, stack.template)
        self.note(stack, "UPDATE_ROLLBACK_COMPLETE")

    def _delete(self, stack: Stack) -> None:
        order = reversed(list(stack.resources.values()))
        if self._remove(stack, order, keep=True):
            stack.deleted = self.clock.now()
            self.note(stack, "DELETE_COMPLETE")
        else:
            failed = [r.logical_id for r in stack.resources.values() if "FAILED" in r.status]
            self.note(
                stack,
                "DELETE_FAILED",
                f"The following resource(s) failed to delete: [{', '.join(failed)}].",
            )

    def _apply(self, stack: Stack, template: Template, values: Mapping[str, str]) -> None:
        """Make and change resources until the stack is what the template says, and its outputs."""
        stack.imports.clear()
        scope = self._names.scope(stack, template, values)
        for logical_id in creation_order(template):
            definition = template["Resources"][logical_id]
            if scope.wanted(definition):
                self._settle(stack, scope, logical_id, definition)
        try:
            stack.outputs = self._names.outputs(stack, scope, template)
        except ValidationError as error:
            raise ResourceFailed(error.message) from error

    def _settle(
        self, stack: Stack, scope: Scope, logical_id: str, definition: Mapping[str, Any]
    ) -> None:
        existing = stack.resources.get(logical_id)
        settled = existing is not None and existing.status.endswith("_COMPLETE")
        try:
            properties = scope.resolve(definition.get("Properties", {}))
            properties = dynamic.resolve(properties, self.shelf.account, self.shelf.region)
        except ValidationError as error:
            self._mark_failed(stack, logical_id, definition, error.message)
            raise ResourceFailed(self._summary(stack, logical_id)) from error
        if existing is None or not settled or existing.kind != definition["Type"]:
            self._make(stack, logical_id, definition, properties)
        elif existing.properties != properties:
            self._change(stack, existing, definition, properties)
        else:
            existing.definition = definition

    def _make(
        self,
        stack: Stack,
        logical_id: str,
        definition: Mapping[str, Any],
        properties: Mapping[str, Any],
    ) -> None:
        kind = definition["Type"]
        home = self._names.home(stack, logical_id, kind)
        name = models.resource_name(home, properties)
        resource = Resource(
            logical_id, kind, definition, properties, None, name, "", self.clock.now(), name=name
        )
        stack.resources[logical_id] = resource
        self._mark(stack, resource, "CREATE_IN_PROGRESS")
        with self._failing(stack, resource, "CREATE_FAILED"):
            resource.model = models.create(home, name, properties)
        resource.physical_id = _physical_id(resource.model, name)
        self._mark(stack, resource, "CREATE_COMPLETE", models.remark(kind, properties))

    def _change(
        self,
        stack: Stack,
        resource: Resource,
        definition: Mapping[str, Any],
        properties: Mapping[str, Any],
    ) -> None:
        home = self._names.home(stack, resource.logical_id, resource.kind)
        self._mark(stack, resource, "UPDATE_IN_PROGRESS")
        with self._failing(stack, resource, "UPDATE_FAILED"):
            changed, reason = self._changed_model(stack, home, resource, properties)
        resource.model = changed
        resource.definition, resource.properties = definition, properties
        resource.physical_id = _physical_id(changed, resource.name)
        self._mark(stack, resource, "UPDATE_COMPLETE", reason)

    def _changed_model(
        self, stack: Stack, home: models.Home, resource: Resource, properties: Mapping[str, Any]
    ) -> tuple[Any, str | None]:
        """The changed resource, and what to say of it: changed by its model, or made anew where
        AWS does so too, or left as it is."""
        changed = changed_properties(resource.properties, properties)
        anew = replaces(resource.kind, changed)
        kept = models.given_name(home, properties) or resource.name
        name = models.resource_name(home, properties) if anew else kept
        fixed = anew and models.replaceable(resource.model)
        model = None if fixed else models.update(home, resource.model, name, properties)
        if model is None and not anew and resource.kind in REPLACING:
            models.retag(home, resource.model, properties)
            return resource.model, None if changed == {"Tags"} else NOT_APPLIED
        if model is None:
            name = models.resource_name(home, properties)
            model = models.create(home, name, properties)
            stack.replaced.append(replace(resource))
        resource.name = name
        return model, models.remark(resource.kind, properties)

    def _clean_up(self, stack: Stack, template: Template) -> None:
        """Remove what was replaced and what the template no longer has."""
        for resource in reversed(stack.replaced):
            with contextlib.suppress(ResourceFailed):
                self._remove_model(stack, resource)
        stack.replaced.clear()
        self._remove_unwanted(stack, template)

    def _remove_unwanted(self, stack: Stack, template: Template) -> None:
        scope = self._names.scope(stack, template, stack.parameters)
        unwanted = [
            resource
            for resource in stack.resources.values()
            if resource.logical_id not in template["Resources"]
            or not scope.wanted(template["Resources"][resource.logical_id])
        ]
        self._remove(stack, reversed(unwanted), keep=True)

    def _remove(self, stack: Stack, resources: Any, *, keep: bool) -> bool:
        """Remove resources; with `keep`, those with a DeletionPolicy of Retain stay. True if all
        went."""
        clean = True
        for resource in resources:
            if keep and resource.definition.get("DeletionPolicy") == "Retain":
                self._mark(stack, resource, "DELETE_SKIPPED")
                del stack.resources[resource.logical_id]
                continue
            try:
                self._remove_one(stack, resource)
            except ResourceFailed:
                clean = False
        return clean

    def _remove_one(self, stack: Stack, resource: Resource) -> None:
        self._remove_model(stack, resource)
        del stack.resources[resource.logical_id]

    def _remove_model(self, stack: Stack, resource: Resource) -> None:
        self._mark(stack, resource, "DELETE_IN_PROGRESS")
        if resource.model is not None:
            home = self._names.home(stack, resource.logical_id, resource.kind)
            with self._failing(stack, resource, "DELETE_FAILED"):
                models.delete(home, resource.model, resource.physical_id, resource.properties)
        self._mark(stack, resource, "DELETE_COMPLETE")

    def _failing(self, stack: Stack, resource: Resource, status: str) -> _Failing:
        return _Failing(self, stack, resource, status)

    def _mark_failed(
        self, stack: Stack, logical_id: str, definition: Mapping[str, Any], reason: str
    ) -> None:
        resource = stack.resources.get(logical_id) or Resource(
            logical_id, definition["Type"], definition, {}, None, "", "", self.clock.now()
        )
        stack.resources[logical_id] = resource
        verb = "CREATE" if resource.model is None else "UPDATE"
        self._mark(stack, resource, f"{verb}_FAILED", reason)

    def _summary(self, stack: Stack, logical_id: str) -> str:
        verb = "create" if stack.status.startswith("CREATE") else "update"
        return f"The following resource(s) failed to {verb}: [{logical_id}]."

    def _mark(
        self, stack: Stack, resource: Resource, status: str, reason: str | None = None
    ) -> None:
        resource.status, resource.reason = status, reason
        resource.timestamp = self.clock.now()
        stack.events.append(
            Event(
                resource.logical_id,
                resource.physical_id,
                resource.kind,
                status,
                resource.timestamp,
                reason,
            )
        )


class _Failing:
    """Turns whatever the emulation raises into a failed resource with its reason."""

    def __init__(self, engine: Engine, stack: Stack, resource: Resource, status: str) -> None:
        self._engine, self._stack, self._resource = engine, stack, resource
        self._status = status

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: Any, _: Any) -> None:
        if kind is None or not issubclass(kind, Exception):
            return
        traceback.print_exception(error)
        reason = str(getattr(error, "message", "") or error or kind.__name__)
        self._engine._mark(self._stack, self._resource, self._status, reason)
        raise ResourceFailed(
            self._engine._summary(self._stack, self._resource.logical_id)
        ) from error


def _physical_id(model: Any, name: str) -> str:
    physical = getattr(model, "physical_resource_id", None)
    return str(physical) if physical else name
