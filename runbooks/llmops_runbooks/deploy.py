"""Change the infrastructure: synthesize, publish, plan, guard, execute, stack by stack.

What runs is not changed here: the service stack is handed the release that already serves (or,
the first time, the initial one), so that a template edit never moves the release back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from llmops_runbooks.assembly import Asset, Stack
from llmops_runbooks.errors import UsageError

RULE = "AWS::ElasticLoadBalancingV2::ListenerRule"
SERVICE = "AWS::ECS::Service"
RELEASE_PARAMETERS = frozenset(
    {"ImageUri", "ReleaseId", "CorpusUri", "BundleUri", "ReleaseConfiguration"}
)


@dataclass(frozen=True)
class Change:
    """One line of a change set: `action` is Add, Modify, Remove, Import or Dynamic."""

    action: str
    logical_id: str
    resource_type: str
    physical_id: str = ""
    replacement: str = ""


@dataclass(frozen=True)
class Plan:
    """A change set that waits to be executed. `kind` is CREATE or UPDATE.

    A change of outputs alone is a change, without any line in `changes`; `empty` is none at all.
    """

    stack: str
    kind: str
    change_set: str
    changes: tuple[Change, ...]
    empty: bool = False


@dataclass(frozen=True)
class StackEvent:
    """What CloudFormation says about one resource."""

    logical_id: str
    resource_type: str
    status: str
    reason: str


class Stacks(Protocol):
    """CloudFormation and the bucket that its assets go to."""

    def upload(self, asset: Asset) -> bool:
        """Puts the asset where the template expects it; False if it was there."""

    def plan(self, stack: Stack, parameters: Mapping[str, str]) -> Plan:
        """A change set; it is `empty` if there is nothing to do."""

    def discard(self, plan: Plan) -> None:
        """Forgets a plan, and the empty stack that planning a CREATE leaves behind."""

    def execute(
        self, plan: Plan, on_event: Callable[[StackEvent], None], on_wait: Callable[[], None]
    ) -> None:
        """Returns when the stack is complete, calling `on_wait` while it is not; raises
        RolloutFailed with the first reason."""


class Guard(Protocol):
    """What is live that a change set could break."""

    def rollout_under_way(self) -> str | None:
        """The ARN of the service deployment that is not finished, if any."""

    def attached_target_groups(self, rule_arn: str) -> int:
        """How many target groups a live listener rule forwards to."""

    def failed_tasks(self) -> list[str]:
        """Why tasks of the service ended that ECS did not end itself."""


class Says(Protocol):
    """What the operator sees while the stacks change."""

    def planned(self, plan: Plan) -> None: ...
    def uploaded(self, stack: str, count: int) -> None: ...
    def event(self, stack: str, event: StackEvent) -> None: ...
    def failing(self, reasons: list[str]) -> None:
        """Tasks that ended by themselves while a stack waits for its service; often none."""

    def finished(self, stack: str, changed: bool) -> None: ...


@dataclass
class Deployment:
    """What a deploy did; `stacks` maps each stack to its number of changes."""

    environment: str
    stacks: dict[str, int] = field(default_factory=dict)
    service_url: str | None = None
    release: str | None = None
    waiting_task_definition: str | None = None
    """A task definition that no task runs yet: it goes out with the next release."""

    def json(self) -> dict[str, Any]:
        return {"outcome": "deployed", **asdict(self)}


def deploy(
    assembly: Sequence[Stack],
    stacks: Stacks,
    guard: Guard,
    says: Says,
    *,
    release_parameters: Callable[[], Mapping[str, str]],
    confirm: Callable[[Plan], bool],
) -> dict[str, int]:
    """Brings every stack to its template; returns the number of changes by stack.

    Raises UsageError, with nothing changed in that stack, if the guard or the operator refuses.
    """
    done: dict[str, int] = {}
    for stack in assembly:
        says.uploaded(stack.name, sum(stacks.upload(asset) for asset in stack.assets))
        plan = stacks.plan(stack, _parameters(stack, release_parameters))
        if not plan.empty:
            says.planned(plan)
            _allow(plan, stacks, guard, confirm)
            _execute(plan, stacks, guard, says)
        else:
            stacks.discard(plan)
        done[stack.name] = len(plan.changes)
        says.finished(stack.name, not plan.empty)
    return done


def refusals(plan: Plan, guard: Guard) -> Iterator[str]:
    """Why a change set must not be executed now: each a sentence."""
    if plan.kind == "CREATE":
        return
    touched = {change.resource_type for change in plan.changes if change.action != "Add"}
    if touched & {RULE, SERVICE}:
        rollout = guard.rollout_under_way()
        if rollout:
            yield f"{plan.stack} would change while the rollout {rollout} is under way."
    for change in plan.changes:
        owned = change.resource_type == RULE and change.action != "Add"
        if owned and guard.attached_target_groups(change.physical_id) > 1:
            yield (
                f"{plan.stack} would reset the listener rule {change.logical_id}, whose weights "
                "ECS owns: traffic could go to an empty target group."
            )


def _execute(plan: Plan, stacks: Stacks, guard: Guard, says: Says) -> None:
    """CloudFormation waits for the service without a word of why its tasks do not start."""
    waits = any(change.resource_type == SERVICE for change in plan.changes)
    stacks.execute(
        plan,
        lambda event: says.event(plan.stack, event),
        lambda: says.failing(guard.failed_tasks() if waits else []),
    )


def _allow(plan: Plan, stacks: Stacks, guard: Guard, confirm: Callable[[Plan], bool]) -> None:
    for refusal in refusals(plan, guard):
        stacks.discard(plan)
        raise UsageError(refusal, hint="docs/runbooks.md says how to change it safely.")
    if not confirm(plan):
        stacks.discard(plan)
        raise UsageError(f"{plan.stack} was not changed: the plan was declined.")


def _parameters(
    stack: Stack, release_parameters: Callable[[], Mapping[str, str]]
) -> Mapping[str, str]:
    wanted = stack.parameters() & RELEASE_PARAMETERS
    if not wanted:
        return {}
    values = release_parameters()
    return {name: values[name] for name in sorted(wanted)}
