"""The tables of a service deployment: statuses, stages, and which moves between them exist.

Source: ecs-service-deployments reference, sections 1.1 and 1.2 (botocore's model of
ServiceDeploymentStatus and the developer guide's pages on lifecycle stages).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`status` of a service deployment."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESSFUL = "SUCCESSFUL"
    STOP_REQUESTED = "STOP_REQUESTED"
    STOPPED = "STOPPED"
    ROLLBACK_REQUESTED = "ROLLBACK_REQUESTED"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_SUCCESSFUL = "ROLLBACK_SUCCESSFUL"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"


_S = Status

STATUS_MOVES: Mapping[Status, frozenset[Status]] = {
    _S.PENDING: frozenset({_S.IN_PROGRESS, _S.STOP_REQUESTED, _S.ROLLBACK_REQUESTED}),
    _S.IN_PROGRESS: frozenset({_S.SUCCESSFUL, _S.STOP_REQUESTED, _S.ROLLBACK_REQUESTED}),
    _S.STOP_REQUESTED: frozenset({_S.STOPPED}),
    _S.ROLLBACK_REQUESTED: frozenset({_S.ROLLBACK_IN_PROGRESS, _S.STOP_REQUESTED}),
    _S.ROLLBACK_IN_PROGRESS: frozenset(
        {_S.ROLLBACK_SUCCESSFUL, _S.ROLLBACK_FAILED, _S.STOP_REQUESTED}
    ),
    _S.SUCCESSFUL: frozenset(),
    _S.STOPPED: frozenset(),
    _S.ROLLBACK_SUCCESSFUL: frozenset(),
    _S.ROLLBACK_FAILED: frozenset(),
}
"""From a status to the statuses it may become; a deployment overtaken by a newer one may be asked
to stop in any ongoing status."""

TERMINAL = frozenset(status for status, following in STATUS_MOVES.items() if not following)


class Stage(StrEnum):
    """Lifecycle stages. PRE_PRODUCTION_TRAFFIC_SHIFT is a stage for hooks only: the enum of a
    deployment's `lifecycleStage` lacks it."""

    RECONCILE_SERVICE = "RECONCILE_SERVICE"
    PRE_SCALE_UP = "PRE_SCALE_UP"
    SCALE_UP = "SCALE_UP"
    POST_SCALE_UP = "POST_SCALE_UP"
    TEST_TRAFFIC_SHIFT = "TEST_TRAFFIC_SHIFT"
    POST_TEST_TRAFFIC_SHIFT = "POST_TEST_TRAFFIC_SHIFT"
    PRE_PRODUCTION_TRAFFIC_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
    PRODUCTION_TRAFFIC_SHIFT = "PRODUCTION_TRAFFIC_SHIFT"
    POST_PRODUCTION_TRAFFIC_SHIFT = "POST_PRODUCTION_TRAFFIC_SHIFT"
    BAKE_TIME = "BAKE_TIME"
    CLEAN_UP = "CLEAN_UP"


_G = Stage


@dataclass(frozen=True)
class StageRow:
    """What hooks a stage takes, and whether the strategy's steps repeat it."""

    stage: Stage
    function_hooks: bool
    pause_hooks: bool
    each_step: bool = False


STAGES: tuple[StageRow, ...] = (
    StageRow(_G.RECONCILE_SERVICE, function_hooks=True, pause_hooks=True),
    StageRow(_G.PRE_SCALE_UP, function_hooks=True, pause_hooks=True),
    StageRow(_G.SCALE_UP, function_hooks=False, pause_hooks=False),
    StageRow(_G.POST_SCALE_UP, function_hooks=True, pause_hooks=True),
    StageRow(_G.TEST_TRAFFIC_SHIFT, function_hooks=True, pause_hooks=False),
    StageRow(_G.POST_TEST_TRAFFIC_SHIFT, function_hooks=True, pause_hooks=True),
    StageRow(_G.PRE_PRODUCTION_TRAFFIC_SHIFT, True, True, each_step=True),
    StageRow(_G.PRODUCTION_TRAFFIC_SHIFT, True, pause_hooks=False, each_step=True),
    StageRow(_G.POST_PRODUCTION_TRAFFIC_SHIFT, function_hooks=True, pause_hooks=True),
    StageRow(_G.BAKE_TIME, function_hooks=False, pause_hooks=False),
    StageRow(_G.CLEAN_UP, function_hooks=False, pause_hooks=False),
)
"""Section 1.2, in order."""

STAGE_MOVES: Mapping[Stage | None, frozenset[Stage]] = {
    None: frozenset({_G.RECONCILE_SERVICE, _G.PRE_SCALE_UP}),
    _G.RECONCILE_SERVICE: frozenset({_G.PRE_SCALE_UP}),
    _G.PRE_SCALE_UP: frozenset({_G.SCALE_UP}),
    _G.SCALE_UP: frozenset({_G.POST_SCALE_UP}),
    _G.POST_SCALE_UP: frozenset({_G.TEST_TRAFFIC_SHIFT}),
    _G.TEST_TRAFFIC_SHIFT: frozenset({_G.POST_TEST_TRAFFIC_SHIFT}),
    _G.POST_TEST_TRAFFIC_SHIFT: frozenset({_G.PRE_PRODUCTION_TRAFFIC_SHIFT}),
    _G.PRE_PRODUCTION_TRAFFIC_SHIFT: frozenset({_G.PRODUCTION_TRAFFIC_SHIFT}),
    _G.PRODUCTION_TRAFFIC_SHIFT: frozenset(
        {_G.PRE_PRODUCTION_TRAFFIC_SHIFT, _G.POST_PRODUCTION_TRAFFIC_SHIFT}
    ),
    _G.POST_PRODUCTION_TRAFFIC_SHIFT: frozenset({_G.BAKE_TIME}),
    _G.BAKE_TIME: frozenset({_G.CLEAN_UP}),
    _G.CLEAN_UP: frozenset(),
}
"""From a stage to the stages that may follow it (None: nothing has begun)."""


class IllegalMoveError(RuntimeError):
    """A status or stage was asked to become one that cannot follow it; nothing was changed."""


def next_status(now: Status, wanted: Status) -> Status:
    """`wanted`, if it may follow `now`; raises IllegalMoveError otherwise."""
    if wanted not in STATUS_MOVES[now]:
        raise IllegalMoveError(f"a service deployment that is {now} cannot become {wanted}")
    return wanted


def next_stage(now: Stage | None, wanted: Stage) -> Stage:
    """`wanted`, if it may follow `now`; raises IllegalMoveError otherwise."""
    if wanted not in STAGE_MOVES[now]:
        raise IllegalMoveError(f"lifecycle stage {wanted} cannot follow {now}")
    return wanted


@dataclass(frozen=True)
class Step:
    """One production traffic shift: the target's share afterwards, and the bake that follows."""

    percent: float
    bake_minutes: int


def steps(configuration: Mapping[str, object], *, first: bool) -> tuple[Step, ...]:
    """The production shifts of a complete deployment configuration.

    CANARY has two, LINEAR ceil(100 / stepPercent), BLUE_GREEN one. A first deployment has no
    other revision to share traffic with, so it shifts once, to 100 %.
    """
    strategy = configuration["strategy"]
    if first or strategy == "BLUE_GREEN":
        return (Step(100, 0),)
    if strategy == "CANARY":
        return _canary_steps(_numbers(configuration["canaryConfiguration"]))
    return _linear_steps(_numbers(configuration["linearConfiguration"]))


def _numbers(value: object) -> Mapping[str, float]:
    assert isinstance(value, Mapping)
    return value


def _canary_steps(canary: Mapping[str, float]) -> tuple[Step, ...]:
    percent, bake = canary["canaryPercent"], int(canary["canaryBakeTimeInMinutes"])
    return (Step(percent, bake), Step(100, 0)) if percent < 100 else (Step(100, 0),)


def _linear_steps(linear: Mapping[str, float]) -> tuple[Step, ...]:
    percent, bake = linear["stepPercent"], int(linear["stepBakeTimeInMinutes"])
    count = math.ceil(100 / percent)
    shares = [round(percent * number, 1) for number in range(1, count)]
    return (*(Step(share, bake) for share in shares), Step(100, 0))
