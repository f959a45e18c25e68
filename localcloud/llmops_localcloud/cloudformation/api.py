"""CloudFormation's API on the stacks of this package; stack sets stay moto's."""

from __future__ import annotations

import json
from typing import Any

from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import get_stack_from_s3_url
from moto.core.responses import ActionResult, EmptyResult

from llmops_localcloud.cloudformation import models, views
from llmops_localcloud.cloudformation.change_sets import ChangeSets
from llmops_localcloud.cloudformation.engine import Engine
from llmops_localcloud.cloudformation.errors import (
    AlreadyExists,
    ValidationError,
    no_such_stack,
)
from llmops_localcloud.cloudformation.stacks import Shelf, Stack
from llmops_localcloud.cloudformation.template import (
    check_capabilities,
    check_references,
    creation_order,
    parameter_values,
    parse,
)
from llmops_localcloud.extension import replace_response
from llmops_localcloud.ports import Clock

PAGE = 100


class Stacks:
    """All shelves of the cloud, by account and region."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._engines: dict[tuple[str, str], Engine] = {}

    def engine(self, account: str, region: str) -> Engine:
        """The engine of one account and region."""
        key = (account, region)
        return self._engines.setdefault(key, Engine(Shelf(account, region), self._clock))

    def unsupported(self) -> dict[str, list[dict[str, str]]]:
        """The resources that only stand in for a type nobody emulates, by type, and those whose
        type is emulated but for a part, by `type: part`."""
        found: dict[str, list[dict[str, str]]] = {}
        for engine in list(self._engines.values()):
            for stack in list(engine.shelf.stacks.values()):
                for resource in list(stack.resources.values()):
                    entry = {"stack": stack.name, "resource": resource.logical_id}
                    for what in models.not_done(resource.kind, resource.properties):
                        found.setdefault(what, []).append(entry)
        return found

    def summary(self) -> dict[str, str]:
        """The status of every stack that is not deleted."""
        return {
            stack.name: stack.status
            for engine in list(self._engines.values())
            for stack in list(engine.shelf.stacks.values())
            if stack.status != "DELETE_COMPLETE"
        }


def install(clock: Clock) -> Stacks:
    """Put this CloudFormation in moto's place."""
    stacks = Stacks(clock)
    response = type("LocalCloudFormation", (_Response,), {"stacks": stacks})
    replace_response("cloudformation", CloudFormationResponse, response)
    return stacks


class _Response(CloudFormationResponse):
    stacks: Stacks

    # moto's transformers expect moto's objects; these answers have AWS's shape already.
    RESPONSE_KEY_PATH_TO_TRANSFORMER: dict[str, Any] = {}  # noqa: RUF012

    @property
    def _engine(self) -> Engine:
        return self.stacks.engine(self.current_account, self.region)

    @property
    def _shelf(self) -> Shelf:
        return self._engine.shelf

    def create_stack(self) -> ActionResult:
        name = self._get_param("StackName")
        if self._shelf.living(name):
            raise AlreadyExists(f"Stack [{name}] already exists")
        text = self._template_text(None)
        template = self._checked(text)
        values = parameter_values(template, self._given_parameters({}), {})
        stack = self._new_stack(name)
        self._engine.create(stack, text, template, values)
        return ActionResult({"StackId": stack.stack_id})

    def update_stack(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        self._refuse_unless_settled(stack)
        text = self._template_text(stack)
        template = self._checked(text)
        given = self._given_parameters(stack.parameters)
        values = parameter_values(template, given, {})
        if template == stack.template and values == stack.parameters:
            raise ValidationError("No updates are to be performed.")
        stack.tags.update(self._tags() or {})
        self._engine.update(stack, text, template, values)
        return ActionResult({"StackId": stack.stack_id})

    def delete_stack(self) -> ActionResult:
        name = self._get_param("StackName")
        stack = self._shelf.living(name)
        if stack is None:
            return EmptyResult()
        if stack.termination_protection:
            raise ValidationError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        for export in stack.exports:
            users = [user for user in self._shelf.importers(export) if user != stack.name]
            if users:
                raise ValidationError(
                    f"Export {export} cannot be deleted as it is in use by {', '.join(users)}"
                )
        self._engine.delete(stack)
        return EmptyResult()

    def update_termination_protection(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        stack.termination_protection = self._get_bool_param("EnableTerminationProtection", False)
        return ActionResult({"StackId": stack.stack_id})

    def describe_stacks(self) -> ActionResult:
        name = self._get_param("StackName")
        found = [self._shelf.find(name)] if name else self._living()
        return self._page("Stacks", [views.stack(stack) for stack in found])

    def list_stacks(self) -> ActionResult:
        wanted = self._get_param("StackStatusFilter", [])
        found = [s for s in self._shelf.stacks.values() if not wanted or s.status in wanted]
        return self._page("StackSummaries", [views.stack_summary(stack) for stack in found])

    def describe_stack_events(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        return self._page("StackEvents", [views.event(stack, e) for e in reversed(stack.events)])

    def describe_stack_resources(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        wanted = self._get_param("LogicalResourceId")
        found = [views.resource(stack, r) for r in list(stack.resources.values())]
        return ActionResult(
            {"StackResources": [r for r in found if wanted in (None, r["LogicalResourceId"])]}
        )

    def describe_stack_resource(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        logical_id = self._get_param("LogicalResourceId")
        if logical_id not in stack.resources:
            raise ValidationError(f"Resource {logical_id} does not exist for stack {stack.name}")
        detail = views.resource(stack, stack.resources[logical_id])
        detail["LastUpdatedTimestamp"] = detail["Timestamp"]
        return ActionResult({"StackResourceDetail": detail})

    def list_stack_resources(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        found = [views.resource(stack, r) for r in list(stack.resources.values())]
        for summary in found:
            summary["LastUpdatedTimestamp"] = summary["Timestamp"]
        return self._page("StackResourceSummaries", found)

    def get_template(self) -> ActionResult:
        name = self._get_param("ChangeSetName")
        text = (
            self._shelf.change_set(name, self._get_param("StackName")).text
            if name
            else self._shelf.find(self._get_param("StackName")).text
        )
        return ActionResult({"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]})

    def get_template_summary(self) -> ActionResult:
        name = self._get_param("StackName")
        template = parse(self._shelf.find(name).text if name else self._template_text(None))
        return ActionResult(views.template_summary(template))

    def validate_template(self) -> ActionResult:
        template = self._parsed(self._template_text(None))
        summary = views.template_summary(template)
        return ActionResult(
            {"Description": template.get("Description", ""), "Parameters": summary["Parameters"]}
        )

    def list_exports(self) -> ActionResult:
        exports = [
            {"ExportingStackId": stack.stack_id, "Name": name, "Value": value}
            for stack in self._living()
            for name, value in stack.exports.items()
        ]
        return self._page("Exports", exports)

    def list_imports(self) -> ActionResult:
        export = self._get_param("ExportName")
        users = self._shelf.importers(export)
        if not users:
            raise ValidationError(f"Export '{export}' is not imported by any stack.")
        return self._page("Imports", users)

    def get_stack_policy(self) -> ActionResult:
        policy = self._shelf.find(self._get_param("StackName")).policy
        return ActionResult({"StackPolicyBody": policy or None})

    def set_stack_policy(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        stack.policy = self._get_param("StackPolicyBody") or ""
        return EmptyResult()

    def create_change_set(self) -> ActionResult:
        change_sets = ChangeSets(self._engine)
        name, stack_name = self._get_param("ChangeSetName"), self._get_param("StackName")
        stack = self._shelf.living(stack_name)
        kind = change_sets.kind(self._get_param("ChangeSetType"), stack, stack_name)
        text = self._template_text(stack)
        template = self._checked(text)
        given = self._given_parameters(stack.parameters if stack else {})
        values = parameter_values(template, given, {})
        stack = stack or self._new_stack(stack_name)
        change_set = change_sets.make(
            name, kind, stack=stack, text=text, template=template, values=values
        )
        change_set.description = self._get_param("Description")
        change_set.tags, change_set.role_arn = self._tags(), self._get_param("RoleARN")
        change_set.capabilities = self._get_param("Capabilities", [])
        change_set.on_failure = self._get_param("OnStackFailure")
        return ActionResult({"Id": change_set.change_set_id, "StackId": stack.stack_id})

    def describe_change_set(self) -> ActionResult:
        change_set = self._shelf.change_set(
            self._get_param("ChangeSetName"), self._get_param("StackName")
        )
        return ActionResult(views.change_set(change_set))

    def list_change_sets(self) -> ActionResult:
        stack = self._shelf.find(self._get_param("StackName"))
        found = [c for c in self._shelf.change_sets.values() if c.stack is stack]
        return self._page("Summaries", [views.change_set_summary(c) for c in found])

    def delete_change_set(self) -> ActionResult:
        change_set = self._shelf.change_set(
            self._get_param("ChangeSetName"), self._get_param("StackName")
        )
        del self._shelf.change_sets[change_set.change_set_id]
        return EmptyResult()

    def execute_change_set(self) -> ActionResult:
        change_set = self._shelf.change_set(
            self._get_param("ChangeSetName"), self._get_param("StackName")
        )
        change_set.stack.disable_rollback = self._get_bool_param("DisableRollback", False)
        ChangeSets(self._engine).execute(change_set)
        return EmptyResult()

    def describe_stack_drift_detection_status(self) -> ActionResult:
        raise NotImplementedError("Drift detection")

    def _new_stack(self, name: str) -> Stack:
        shelf = self._shelf
        stack = Stack(shelf.arn("stack", name), name, self._engine.clock.now())
        stack.tags = self._tags() or {}
        stack.role_arn = self._get_param("RoleARN")
        stack.capabilities = self._get_param("Capabilities", [])
        stack.notification_arns = self._get_param("NotificationARNs", [])
        stack.disable_rollback = (
            self._get_bool_param("DisableRollback", False)
            or self._get_param("OnFailure") == "DO_NOTHING"
        )
        stack.termination_protection = self._get_bool_param("EnableTerminationProtection", False)
        shelf.stacks[stack.stack_id] = stack
        return stack

    def _template_text(self, previous: Stack | None) -> str:
        url, body = self._get_param("TemplateURL"), self._get_param("TemplateBody")
        if url:
            # An endpoint of a client on this machine addresses buckets by path.
            local = url.replace("127.0.0.1", "localhost")
            return str(get_stack_from_s3_url(local, self.current_account, self.partition))
        if body:
            return str(body)
        if previous is not None and self._get_bool_param("UsePreviousTemplate", False):
            return previous.text
        raise ValidationError("Either Template URL or Template Body must be specified.")

    def _parsed(self, text: str) -> dict[str, Any]:
        template = parse(text)
        check_references(template)
        creation_order(template)
        return template

    def _checked(self, text: str) -> dict[str, Any]:
        template = self._parsed(text)
        check_capabilities(template, self._get_param("Capabilities", []))
        return template

    def _given_parameters(self, previous: dict[str, str]) -> dict[str, str]:
        given: dict[str, str] = {}
        for parameter in self._get_param("Parameters", []):
            key = parameter["ParameterKey"]
            if parameter.get("UsePreviousValue"):
                if key not in previous:
                    raise ValidationError(f"Parameters: [{key}] must have values")
                given[key] = previous[key]
            else:
                given[key] = str(parameter.get("ParameterValue", ""))
        return given

    def _tags(self) -> dict[str, str] | None:
        tags = self._get_param("Tags", [])
        return {tag["Key"]: tag["Value"] for tag in tags} or None

    def _living(self) -> list[Stack]:
        return [s for s in self._shelf.stacks.values() if s.status != "DELETE_COMPLETE"]

    def _refuse_unless_settled(self, stack: Stack) -> None:
        if stack.status == "DELETE_COMPLETE":
            raise no_such_stack(stack.name)
        if stack.busy or stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED"):
            raise ValidationError(
                f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
            )

    def _page(self, key: str, items: list[Any]) -> ActionResult:
        start = json.loads(self._get_param("NextToken") or "0")
        page: dict[str, Any] = {key: items[start : start + PAGE]}
        if start + PAGE < len(items):
            page["NextToken"] = str(start + PAGE)
        return ActionResult(page)
