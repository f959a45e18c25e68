"""Statuses, stages and steps of a deployment (behaviours 1, 2, 3, 6, 31)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session

from llmops_localcloud.ecs.memory import BLUE, GREEN
from llmops_localcloud.ecs.stages import (
    STAGE_MOVES,
    STAGES,
    STATUS_MOVES,
    TERMINAL,
    IllegalMoveError,
    Stage,
    Status,
    next_stage,
    next_status,
    steps,
)


def enum_of(shape: str) -> set[str]:
    model = get_session().get_service_model("ecs")
    return set(model.shape_for(shape).enum)


def test_01_statuses_are_those_of_the_model() -> None:
    assert {str(status) for status in Status} == enum_of("ServiceDeploymentStatus")


def test_01_a_terminal_status_is_never_left() -> None:
    assert {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"} == TERMINAL
    for status in TERMINAL:
        for wanted in Status:
            with pytest.raises(IllegalMoveError):
                next_status(status, wanted)


@pytest.mark.parametrize("now", Status)
@pytest.mark.parametrize("wanted", Status)
def test_01_an_illegal_move_raises_and_changes_nothing(now: Status, wanted: Status) -> None:
    if wanted in STATUS_MOVES[now]:
        assert next_status(now, wanted) is wanted
    else:
        with pytest.raises(IllegalMoveError, match=f"{now} cannot become {wanted}"):
            next_status(now, wanted)


def test_02_only_the_pre_production_stage_is_not_in_the_models_enum() -> None:
    shown = enum_of("ServiceDeploymentLifecycleStage")
    assert {str(stage) for stage in Stage} - shown == {"PRE_PRODUCTION_TRAFFIC_SHIFT"}
    assert enum_of("DeploymentLifecycleHookStage") == {
        str(row.stage) for row in STAGES if row.function_hooks
    }


@pytest.mark.parametrize(
    "shown", ["PRODUCTION_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"]
)
def test_02_the_stage_shown_while_paused_there_is_a_switch(make_cloud: Any, shown: str) -> None:
    cloud = make_cloud(check_answers=False, pre_production_stage_shown=shown)
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT")])
    arn = cloud.release("2", deploymentConfiguration=config)
    assert len(cloud.paused(arn)) == 1
    assert cloud.see(arn)["lifecycleStage"] == shown


def test_03_stages_follow_each_other_as_documented(cloud: Any) -> None:
    """Every stage that takes pauses is held in turn; the hook events name it."""
    cloud.up()
    stages = [row.stage for row in STAGES if row.pause_hooks and row.stage != "RECONCILE_SERVICE"]
    config = cloud.canary(lifecycleHooks=[cloud.pause(*stages)])
    arn = cloud.release("2", deploymentConfiguration=config)
    seen = []
    while cloud.status(arn) == "IN_PROGRESS":
        if cloud.paused(arn):
            seen.append(cloud.events.last("HOOK_AWAITING_ACTION")["lifecycleStage"])
            cloud.go_on(arn)
        else:
            cloud.wait(minutes=1)
    assert seen == [
        "PRE_SCALE_UP",
        "POST_SCALE_UP",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
    ]
    assert cloud.status(arn) == "SUCCESSFUL"


@pytest.mark.parametrize("now", [None, *Stage])
@pytest.mark.parametrize("wanted", Stage)
def test_03_a_stage_out_of_order_raises(now: Stage | None, wanted: Stage) -> None:
    if wanted in STAGE_MOVES[now]:
        assert next_stage(now, wanted) is wanted
    else:
        with pytest.raises(IllegalMoveError):
            next_stage(now, wanted)


def test_03_reconcile_service_comes_first_if_two_revisions_are_active(cloud: Any) -> None:
    cloud.up()
    cloud.release("2")
    config = cloud.canary(lifecycleHooks=[cloud.pause("RECONCILE_SERVICE")])
    arn = cloud.release("3", deploymentConfiguration=config)
    assert cloud.see(arn)["lifecycleStage"] == "RECONCILE_SERVICE"
    assert len(cloud.see(arn)["sourceServiceRevisions"]) == 2
    assert cloud.router.production()[-1] == {BLUE: 100, GREEN: 0}
    assert cloud.releases_running() == ["1", "1"]
    cloud.go_on(arn)
    assert cloud.see(arn)["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"


def test_03_no_reconcile_service_with_one_active_revision(cloud: Any) -> None:
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.function("RECONCILE_SERVICE")])
    cloud.release("2", deploymentConfiguration=config)
    assert cloud.functions.calls == []


def test_06_canary_shifts_twice_with_a_bake_after_the_first(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    assert cloud.router.production() == [{BLUE: 100, GREEN: 0}, {BLUE: 90, GREEN: 10}]
    cloud.wait(minutes=4, seconds=59)
    assert cloud.router.production()[-1] == {BLUE: 90, GREEN: 10}
    cloud.wait(seconds=1)
    assert cloud.router.production()[-1] == {BLUE: 0, GREEN: 100}
    assert cloud.see(arn)["lifecycleStage"] == "BAKE_TIME"
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"


def test_06_linear_shifts_in_equal_steps_with_a_bake_after_each_but_the_last(cloud: Any) -> None:
    cloud.up()
    config = {
        "strategy": "LINEAR",
        "linearConfiguration": {"stepPercent": 40, "stepBakeTimeInMinutes": 2},
        "bakeTimeInMinutes": 0,
    }
    arn = cloud.release("2", deploymentConfiguration=config)
    shares = []
    for _ in range(3):
        shares.append(cloud.router.production()[-1][GREEN])
        cloud.wait(minutes=2)
    assert shares == [40, 80, 100]
    assert cloud.status(arn) == "SUCCESSFUL"


@pytest.mark.parametrize(("percent", "count"), [(3, 34), (10, 10), (33.3, 4), (50, 2), (100, 1)])
def test_06_linear_takes_ceil_of_100_over_step_steps(percent: float, count: int) -> None:
    linear = {"stepPercent": percent, "stepBakeTimeInMinutes": 6}
    found = steps({"strategy": "LINEAR", "linearConfiguration": linear}, first=False)
    assert len(found) == count
    assert found[-1].percent == 100
    assert found[-1].bake_minutes == 0


def test_06_blue_green_shifts_once(cloud: Any) -> None:
    cloud.up()
    config = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1}
    cloud.release("2", deploymentConfiguration=config)
    assert cloud.router.production() == [{BLUE: 100, GREEN: 0}, {BLUE: 0, GREEN: 100}]


def test_06_a_share_with_a_decimal_is_told_in_tenths(cloud: Any) -> None:
    cloud.up()
    cloud.release("2", deploymentConfiguration=cloud.canary(percent=12.5))
    assert cloud.router.production()[-1] == {BLUE: 875, GREEN: 125}


@pytest.mark.parametrize("bake_first", [True, False])
def test_06_whether_the_bake_precedes_the_second_pause_is_a_switch(
    make_cloud: Any, bake_first: bool
) -> None:
    cloud = make_cloud(bake_before_second_pause=bake_first)
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT")])
    arn = cloud.release("2", deploymentConfiguration=config)
    cloud.go_on(arn)
    assert bool(cloud.paused(arn)) is not bake_first
    if bake_first:
        cloud.wait(minutes=5)
    cloud.go_on(arn)
    if not bake_first:
        assert cloud.router.production()[-1] == {BLUE: 90, GREEN: 10}
        cloud.wait(minutes=5)
    assert cloud.router.production()[-1] == {BLUE: 0, GREEN: 100}


def test_31_short_stages_vanish_between_two_looks(cloud: Any) -> None:
    cloud.up()
    arn = cloud.update(taskDefinition=cloud.register("2"))
    assert cloud.see(arn)["status"] == "PENDING"
    assert "lifecycleStage" not in cloud.see(arn)
    cloud.settle()
    assert cloud.see(arn)["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"
