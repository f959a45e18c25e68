"""CloudFormation behind the `deploy` runbook's ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmops_runbooks.assembly import Asset, Stack
from llmops_runbooks.aws.clients import Clients, Refused
from llmops_runbooks.deploy import Change, Plan, StackEvent
from llmops_runbooks.errors import CloudError, RolloutFailed

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
CHANGE_SET = "llmops-deploy"
BOOTSTRAP = "Run `cdk bootstrap` for this account and region."
NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed", "no changes")


class CloudFormationStacks:
    """`Stacks` on CloudFormation and S3. `poll_seconds` is the pause between two looks."""

    def __init__(self, clients: Clients, *, poll_seconds: float) -> None:
        self._clients = clients
        self._poll_seconds = poll_seconds

    def upload(self, asset: Asset) -> bool:
        where = {"Bucket": asset.bucket, "Key": asset.key}
        try:
            self._clients.call("s3", "head_object", **where)
        except Refused as error:
            if error.code not in {"404", "NoSuchKey", "NotFound"}:
                raise CloudError(error.message, hint=BOOTSTRAP) from error
        else:
            return False
        try:
            self._clients.call("s3", "put_object", Body=asset.content(), **where)
        except Refused as error:
            raise CloudError(error.message, hint=BOOTSTRAP) from error
        return True

    def plan(self, stack: Stack, parameters: Mapping[str, str]) -> Plan:
        kind = "UPDATE" if self._exists(stack.name) else "CREATE"
        self._delete_change_set(stack.name)
        self._call(
            "create_change_set",
            StackName=stack.name,
            ChangeSetName=CHANGE_SET,
            ChangeSetType=kind,
            TemplateURL=stack.template_url,
            Capabilities=CAPABILITIES,
            **({"RoleARN": stack.execution_role} if stack.execution_role else {}),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )
        described = self._settled_change_set(stack.name)
        if described["Status"] == "FAILED":
            self._must_be_empty(stack.name, described.get("StatusReason", "no reason given"))
            return Plan(stack.name, kind, CHANGE_SET, (), empty=True)
        return Plan(stack.name, kind, CHANGE_SET, tuple(self._changes(stack.name, described)))

    def discard(self, plan: Plan) -> None:
        self._delete_change_set(plan.stack)
        if plan.kind == "CREATE":
            self._call("delete_stack", StackName=plan.stack)

    def execute(
        self, plan: Plan, on_event: Callable[[StackEvent], None], on_wait: Callable[[], None]
    ) -> None:
        seen = {event["EventId"] for event in self._events(plan.stack)}
        self._call("execute_change_set", StackName=plan.stack, ChangeSetName=plan.change_set)
        reason = ""
        while True:
            status = self._describe(plan.stack)["StackStatus"]
            for event in reversed(self._events(plan.stack)):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    told = _event(event)
                    on_event(told)
                    if not reason and told.status.endswith("_FAILED"):
                        reason = f"{told.logical_id}: {told.reason}"
            if not status.endswith("_IN_PROGRESS"):
                break
            on_wait()
            time.sleep(self._poll_seconds)
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}:
            raise RolloutFailed(f"The stack {plan.stack} ended as {status}. {reason}".strip())

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of a deployed stack."""
        return {
            output["OutputKey"]: output["OutputValue"]
            for output in self._describe(stack).get("Outputs", [])
        }

    def _exists(self, stack: str) -> bool:
        try:
            status = self._describe(stack)["StackStatus"]
        except Refused as error:
            if "does not exist" in error.message:
                return False
            raise
        if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}:
            raise RolloutFailed(
                f"The stack {stack} is {status} from an earlier attempt and cannot be updated.",
                hint=f"aws cloudformation delete-stack --stack-name {stack}",
            )
        return bool(status != "REVIEW_IN_PROGRESS")

    def _describe(self, stack: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("describe_stacks", StackName=stack)["Stacks"][0]
        return found

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._clients.call("cloudformation", operation, **parameters)

    def _events(self, stack: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        query = {"StackName": stack}
        while True:
            answer = self._call("describe_stack_events", **query)
            events += answer["StackEvents"]
            if not answer.get("NextToken"):
                return events
            query["NextToken"] = answer["NextToken"]

    def _must_be_empty(self, stack: str, reason: str) -> None:
        """A change set without changes fails, in one of several wordings; others are failures."""
        if not any(text in reason for text in NOTHING_TO_DO):
            raise RolloutFailed(f"The change set of {stack} failed: {reason}")

    def _changes(self, stack: str, described: dict[str, Any]) -> Iterator[Change]:
        while True:
            for change in described.get("Changes", []):
                yield _change(change["ResourceChange"])
            if not described.get("NextToken"):
                return
            described = self._call(
                "describe_change_set",
                StackName=stack,
                ChangeSetName=CHANGE_SET,
                NextToken=described["NextToken"],
            )

    def _settled_change_set(self, stack: str) -> dict[str, Any]:
        while True:
            described = self._call("describe_change_set", StackName=stack, ChangeSetName=CHANGE_SET)
            if not described["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
                return described
            time.sleep(self._poll_seconds)

    def _delete_change_set(self, stack: str) -> None:
        try:
            self._call("delete_change_set", StackName=stack, ChangeSetName=CHANGE_SET)
        except Refused as error:
            if error.code not in {"ChangeSetNotFound", "ValidationError"}:
                raise


def _change(change: Mapping[str, Any]) -> Change:
    return Change(
        action=change["Action"],
        logical_id=change["LogicalResourceId"],
        resource_type=change["ResourceType"],
        physical_id=change.get("PhysicalResourceId", ""),
        replacement=change.get("Replacement", ""),
    )


def _event(event: Mapping[str, Any]) -> StackEvent:
    return StackEvent(
        logical_id=event["LogicalResourceId"],
        resource_type=event["ResourceType"],
        status=event["ResourceStatus"],
        reason=event.get("ResourceStatusReason", ""),
    )
