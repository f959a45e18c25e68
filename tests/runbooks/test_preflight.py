"""Each refusal before traffic moves: one sentence, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmops_runbooks.errors import ExitCode, UsageError
from llmops_runbooks.memory import COORDINATES, MemoryCloud
from llmops_runbooks.release import release

Break = Callable[[MemoryCloud], object]


def fire(memory: MemoryCloud) -> None:
    memory.alarms.state["handbook-local-errors"] = "ALARM"


def lose_an_alarm(memory: MemoryCloud) -> None:
    del memory.alarms.state["handbook-local-latency"]


def serve_both(memory: MemoryCloud) -> None:
    memory.routing.rule[COORDINATES.green_target_group_arn] = 50


def serve_neither(memory: MemoryCloud) -> None:
    memory.routing.rule[COORDINATES.blue_target_group_arn] = 0


def lose_the_gate(memory: MemoryCloud) -> None:
    memory.ecs.configuration["lifecycleHooks"] = []
    memory.ecs.forget_hooks()


def lose_the_service(memory: MemoryCloud) -> None:
    memory.ecs.delete()


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (fire, r"The alarm handbook-local-errors is firing \(1 of 2\)"),
        (lose_an_alarm, r"The alarm handbook-local-latency does not exist"),
        (serve_both, r"forwards to 2 target groups, and exactly one must"),
        (serve_neither, r"forwards to 0 target groups, and exactly one must"),
        (lose_the_gate, r"has no gate as lifecycle hook"),
        (lose_the_service, r"The ECS service handbook-local of environment local does not exist"),
    ],
)
def test_a_broken_rule_refuses_the_release_and_changes_nothing(
    desk: Any, breaks: Break, sentence: str
) -> None:
    memory = desk.memory
    breaks(memory)
    before = (
        dict(memory.artifacts.objects),
        len(memory.ecs.definitions),
        dict(memory.registry.tags),
    )
    with pytest.raises(UsageError, match=sentence) as error:
        release(desk.job("1.2.0"))
    assert error.value.exit_code is ExitCode.USAGE
    assert error.value.message.endswith(".") and "\n" not in error.value.message
    after = (memory.artifacts.objects, len(memory.ecs.definitions), memory.registry.tags)
    assert after == before
    assert memory.ecs.updates == []


def test_a_release_that_does_not_exist_is_refused_with_those_that_do(desk: Any) -> None:
    with pytest.raises(UsageError, match=r"Release 9\.9\.9 .*known: 1\.0\.0, 1\.1\.0, 1\.2\.0"):
        release(desk.job("9.9.9"))
    assert desk.memory.ecs.updates == []


def test_a_release_while_a_rollout_is_under_way_is_refused_and_names_it(desk: Any) -> None:
    release(desk.job("1.2.0", hold=False))
    with pytest.raises(UsageError, match=r"A rollout of 1\.2\.0-\w{8} is under way") as error:
        release(desk.job("1.1.0"))
    assert "llmops status --watch" in error.value.hint
    assert len(desk.memory.ecs.updates) == 1


def test_an_alarm_without_data_does_not_refuse(desk: Any) -> None:
    desk.memory.alarms.state["handbook-local-errors"] = "INSUFFICIENT_DATA"
    release(desk.job("1.2.0"))
    assert len(desk.memory.ecs.updates) == 1


def test_an_image_that_is_gone_from_the_repository_is_refused(desk: Any) -> None:
    release(desk.job("1.2.0"))
    release(desk.job("1.1.0"))
    desk.memory.registry.blobs.clear()
    with pytest.raises(UsageError, match="no longer in the repository"):
        release(desk.job("1.2.0"))
