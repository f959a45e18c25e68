"""deploy: publish, plan, guard, execute, stack by stack; a refusal leaves the stack as it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llmops_runbooks.assembly import Asset, Stack
from llmops_runbooks.deploy import RULE, SERVICE, Change, Plan, StackEvent, deploy, refusals
from llmops_runbooks.errors import UsageError


@dataclass
class FakeStacks:
    """Plans whatever it was told to, and remembers what was done with the plans."""

    changes: Mapping[str, tuple[Change, ...]]
    kind: str = "UPDATE"
    did: list[tuple[str, str]] = field(default_factory=list)
    parameters: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def upload(self, asset: Asset) -> bool:
        self.did.append(("upload", asset.key))
        return True

    def plan(self, stack: Stack, parameters: Mapping[str, str]) -> Plan:
        self.parameters[stack.name] = parameters
        changes = self.changes.get(stack.name)
        return Plan(stack.name, self.kind, "set", changes or (), empty=changes is None)

    def discard(self, plan: Plan) -> None:
        self.did.append(("discard", plan.stack))

    def execute(
        self, plan: Plan, on_event: Callable[[StackEvent], None], on_wait: Callable[[], None]
    ) -> None:
        on_wait()
        for change in plan.changes:
            on_event(StackEvent(change.logical_id, "T", "CREATE_COMPLETE", ""))
        self.did.append(("execute", plan.stack))


@dataclass
class FakeGuard:
    rollout: str | None = None
    attached: int = 2

    def rollout_under_way(self) -> str | None:
        return self.rollout

    def failed_tasks(self) -> list[str]:
        return ["OutOfMemoryError"]

    def attached_target_groups(self, rule_arn: str) -> int:
        return self.attached


@dataclass
class Said:
    lines: list[str] = field(default_factory=list)

    def planned(self, plan: Plan) -> None:
        self.lines.append(f"planned {plan.stack}")

    def uploaded(self, stack: str, count: int) -> None:
        self.lines.append(f"uploaded {count} for {stack}")

    def event(self, stack: str, event: StackEvent) -> None:
        self.lines.append(f"{stack}: {event.logical_id} {event.status}")

    def failing(self, reasons: list[str]) -> None:
        self.lines += [f"failing {reason}" for reason in reasons]

    def finished(self, stack: str, changed: bool) -> None:
        self.lines.append(f"finished {stack} {changed}")


@pytest.fixture
def stack(tmp_path: Path) -> Callable[..., Stack]:
    def make(name: str, *parameters: str) -> Stack:
        template = tmp_path / f"{name}.json"
        template.write_text(json.dumps({"Parameters": {key: {} for key in parameters}}))
        return Stack(name, template, "url", (), (Asset(template, "file", "bucket", name),))

    return make


def run(
    stacks: FakeStacks,
    assembly: list[Stack],
    *,
    guard: FakeGuard | None = None,
    confirm: bool = True,
) -> tuple[dict[str, int], Said]:
    said = Said()
    done = deploy(
        assembly,
        stacks,
        guard or FakeGuard(),
        said,
        release_parameters=lambda: {"ImageUri": "i", "ReleaseId": "r", "CorpusUri": "c"},
        confirm=lambda plan: confirm,
    )
    return done, said


def change(resource_type: str = "AWS::S3::Bucket", action: str = "Modify") -> Change:
    return Change(action, "Thing", resource_type, "arn:thing")


def test_each_stack_is_published_planned_and_executed_in_order(stack) -> None:
    stacks = FakeStacks({"a": (change(),), "b": (change(),)})
    done, said = run(stacks, [stack("a"), stack("b")])
    assert stacks.did == [("upload", "a"), ("execute", "a"), ("upload", "b"), ("execute", "b")]
    assert done == {"a": 1, "b": 1}
    assert "a: Thing CREATE_COMPLETE" in said.lines


def test_a_stack_that_waits_for_its_service_tells_why_tasks_end(stack) -> None:
    _, said = run(FakeStacks({"a": (change(SERVICE, "Add"),), "b": (change(),)}), [stack("a")])
    assert "failing OutOfMemoryError" in said.lines
    _, said = run(FakeStacks({"b": (change(),)}), [stack("b")])
    assert "failing OutOfMemoryError" not in said.lines


def test_an_unchanged_stack_is_left_alone(stack) -> None:
    stacks = FakeStacks({})
    done, _ = run(stacks, [stack("a")])
    assert stacks.did == [("upload", "a"), ("discard", "a")]
    assert done == {"a": 0}


def test_a_change_of_outputs_alone_is_executed(stack) -> None:
    stacks = FakeStacks({"a": ()})
    run(stacks, [stack("a")])
    assert stacks.did == [("upload", "a"), ("execute", "a")]


def test_only_a_template_that_asks_for_the_release_is_told_it(stack) -> None:
    stacks = FakeStacks({})
    run(stacks, [stack("a"), stack("b", "ImageUri", "ReleaseId", "Other")])
    assert stacks.parameters == {"a": {}, "b": {"ImageUri": "i", "ReleaseId": "r"}}


def test_a_declined_plan_changes_nothing(stack) -> None:
    stacks = FakeStacks({"a": (change(),)})
    with pytest.raises(UsageError, match="a was not changed: the plan was declined"):
        run(stacks, [stack("a")], confirm=False)
    assert stacks.did[-1] == ("discard", "a")


def test_the_listener_rule_is_not_touched_while_both_target_groups_are_attached(stack) -> None:
    stacks = FakeStacks({"a": (change(RULE),)})
    with pytest.raises(UsageError, match="would reset the listener rule Thing"):
        run(stacks, [stack("a")])
    assert stacks.did[-1] == ("discard", "a")


def test_a_rule_with_one_target_group_may_change(stack) -> None:
    done, _ = run(FakeStacks({"a": (change(RULE),)}), [stack("a")], guard=FakeGuard(attached=1))
    assert done == {"a": 1}


@pytest.mark.parametrize("resource_type", [RULE, SERVICE])
def test_service_and_rule_do_not_change_during_a_rollout(resource_type: str) -> None:
    plan = Plan("a", "UPDATE", "set", (change(resource_type),))
    (first, *_) = refusals(plan, FakeGuard(rollout="arn:rollout"))
    assert first == "a would change while the rollout arn:rollout is under way."


def test_other_resources_may_change_during_a_rollout() -> None:
    plan = Plan("a", "UPDATE", "set", (change(),))
    assert list(refusals(plan, FakeGuard(rollout="arn:rollout"))) == []


def test_a_new_stack_has_nothing_to_break() -> None:
    plan = Plan("a", "CREATE", "set", (change(RULE, "Add"),))
    assert list(refusals(plan, FakeGuard(rollout="arn:rollout"))) == []
