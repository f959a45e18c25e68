"""The shapes of CloudFormation's answers."""

from __future__ import annotations

from typing import Any

from llmops_localcloud.cloudformation.stacks import ChangeSet, Event, Resource, Stack
from llmops_localcloud.cloudformation.template import IAM_TYPES, NAMED_IAM, Template


def stack(stack: Stack) -> dict[str, Any]:
    """`Stack` of DescribeStacks."""
    return _filled(
        {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "ChangeSetId": stack.change_set_id,
            "Description": stack.template.get("Description"),
            "Parameters": _parameters(stack.template, stack.parameters),
            "CreationTime": stack.created,
            "DeletionTime": stack.deleted,
            "LastUpdatedTime": stack.updated,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DisableRollback": stack.disable_rollback,
            "NotificationARNs": stack.notification_arns,
            "Capabilities": stack.capabilities,
            "Outputs": stack.outputs,
            "RoleARN": stack.role_arn,
            "Tags": _tags(stack.tags),
            "EnableTerminationProtection": stack.termination_protection,
            "RollbackConfiguration": {},
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
    )


def stack_summary(stack: Stack) -> dict[str, Any]:
    """`StackSummary` of ListStacks."""
    return _filled(
        {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "TemplateDescription": stack.template.get("Description"),
            "CreationTime": stack.created,
            "LastUpdatedTime": stack.updated,
            "DeletionTime": stack.deleted,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
    )


def event(stack: Stack, event: Event) -> dict[str, Any]:
    """`StackEvent` of DescribeStackEvents."""
    return _filled(
        {
            "StackId": stack.stack_id,
            "EventId": event.event_id,
            "StackName": stack.name,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.kind,
            "Timestamp": event.timestamp,
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
        }
    )


def resource(stack: Stack, resource: Resource) -> dict[str, Any]:
    """`StackResource` of DescribeStackResources."""
    return _filled(
        {
            "StackName": stack.name,
            "StackId": stack.stack_id,
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.physical_id,
            "ResourceType": resource.kind,
            "Timestamp": resource.timestamp,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
    )


def change_set(change_set: ChangeSet) -> dict[str, Any]:
    """The answer of DescribeChangeSet."""
    return _filled(
        {
            **change_set_summary(change_set),
            "Parameters": _parameters(change_set.template, change_set.parameters),
            "Capabilities": change_set.capabilities,
            "Tags": _tags(change_set.tags or {}),
            "NotificationARNs": change_set.stack.notification_arns,
            "RollbackConfiguration": {},
            "OnStackFailure": change_set.on_failure,
            "Changes": [
                {"Type": "Resource", "ResourceChange": {"Scope": [], "Details": [], **change}}
                for change in change_set.changes
            ],
        }
    )


def change_set_summary(change_set: ChangeSet) -> dict[str, Any]:
    """`ChangeSetSummary` of ListChangeSets."""
    return _filled(
        {
            "StackId": change_set.stack.stack_id,
            "StackName": change_set.stack.name,
            "ChangeSetId": change_set.change_set_id,
            "ChangeSetName": change_set.name,
            "ExecutionStatus": change_set.execution,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "CreationTime": change_set.created,
            "Description": change_set.description,
            "IncludeNestedStacks": False,
            "ImportExistingResources": False,
        }
    )


def template_summary(template: Template) -> dict[str, Any]:
    """The answer of GetTemplateSummary."""
    types = {resource["Type"] for resource in template["Resources"].values()}
    summary: dict[str, Any] = {
        "Parameters": [
            _filled(
                {
                    "ParameterKey": name,
                    "DefaultValue": _text(declared.get("Default")),
                    "ParameterType": declared.get("Type", "String"),
                    "NoEcho": bool(declared.get("NoEcho", False)),
                    "Description": declared.get("Description"),
                    "ParameterConstraints": {},
                }
            )
            for name, declared in template.get("Parameters", {}).items()
        ],
        "ResourceTypes": sorted(types),
        "Description": template.get("Description"),
        "Version": template.get("AWSTemplateFormatVersion"),
        "Metadata": None,
    }
    if types & IAM_TYPES:
        named = any(
            NAMED_IAM.get(resource["Type"], "") in resource.get("Properties", {})
            for resource in template["Resources"].values()
        )
        summary["Capabilities"] = ["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"]
        summary["CapabilitiesReason"] = "The template contains IAM resources."
    return _filled(summary)


def _parameters(template: Template, values: dict[str, str]) -> list[dict[str, str]]:
    declared = template.get("Parameters", {})
    return [
        {
            "ParameterKey": name,
            "ParameterValue": "****" if declared.get(name, {}).get("NoEcho") else value,
        }
        for name, value in values.items()
    ]


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _filled(shape: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shape.items() if value is not None}
