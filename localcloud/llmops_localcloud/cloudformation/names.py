"""What the names of a template stand for in one stack, and what the stack gives to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_localcloud.cloudformation import models
from llmops_localcloud.cloudformation.errors import ValidationError
from llmops_localcloud.cloudformation.intrinsics import Scope
from llmops_localcloud.cloudformation.parameters import typed_parameters
from llmops_localcloud.cloudformation.stacks import Shelf, Stack
from llmops_localcloud.cloudformation.template import Template


class Names:
    """Resolves names for the stacks of one shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def home(self, stack: Stack, logical_id: str, kind: str) -> models.Home:
        """The place of a resource, as its model needs it."""
        return models.Home(
            self._shelf.account, self._shelf.region, stack.stack_id, stack.name, logical_id, kind
        )

    def scope(self, stack: Stack, template: Template, values: Mapping[str, str]) -> Scope:
        """How the names of a template resolve for this stack, as far as its resources exist."""

        def resource(logical_id: str) -> Any:
            found = stack.resources.get(logical_id)
            if found is None or found.model is None:
                raise ValidationError(f"Unresolved resource dependencies [{logical_id}]")
            return models.reference(found.model)

        def attribute(logical_id: str, name: str) -> Any:
            found = stack.resources.get(logical_id)
            if found is None or found.model is None:
                raise ValidationError(
                    f"Template error: instance of Fn::GetAtt references undefined resource "
                    f"{logical_id}"
                )
            return models.attribute(self.home(stack, logical_id, found.kind), found.model, name)

        return Scope(
            template,
            parameters=typed_parameters(template, values, self._shelf.account, self._shelf.region),
            pseudo=self._pseudo(stack),
            resource=resource,
            attribute=attribute,
            import_value=lambda name: self._import(stack, name),
        )

    def _pseudo(self, stack: Stack) -> dict[str, Any]:
        return {
            "AWS::AccountId": self._shelf.account,
            "AWS::Region": self._shelf.region,
            "AWS::StackId": stack.stack_id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::Partition": "aws",
            "AWS::NotificationARNs": stack.notification_arns,
        }

    def _import(self, stack: Stack, name: str) -> str:
        found = self._shelf.export(name)
        if found is None:
            raise ValidationError(f"No export named {name} found.")
        stack.imports.add(name)
        return found[1]

    def outputs(self, stack: Stack, scope: Scope, template: Template) -> list[dict[str, str]]:
        """`Outputs` of DescribeStacks. Raises ValidationError."""
        outputs = []
        for key, output in template.get("Outputs", {}).items():
            if not scope.wanted(output):
                continue
            try:
                outputs.append(self._output(stack, scope, key, output))
            except ValidationError as error:
                raise ValidationError(f"Output {key}: {error.message}") from error
        return outputs

    def _output(
        self, stack: Stack, scope: Scope, key: str, output: Mapping[str, Any]
    ) -> dict[str, str]:
        entry = {"OutputKey": key, "OutputValue": str(scope.resolve(output["Value"]))}
        if output.get("Description"):
            entry["Description"] = output["Description"]
        if output.get("Export"):
            entry["ExportName"] = str(scope.resolve(output["Export"]["Name"]))
            owner = self._shelf.export(entry["ExportName"])
            if owner is not None and owner[0] is not stack:
                raise ValidationError(
                    f"Export with name {entry['ExportName']} is already exported by stack "
                    f"{owner[0].name}."
                )
        return entry
