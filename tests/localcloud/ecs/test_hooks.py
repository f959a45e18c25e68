"""Lifecycle hooks: functions and pauses (behaviours 7 to 15 and 24)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ecs.memory import GATE, NEVER

STEP_STAGES = ("PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
EVERY_FUNCTION_STAGE = (
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    *STEP_STAGES,
    "POST_PRODUCTION_TRAFFIC_SHIFT",
)


def release_with(cloud: Any, *hooks: Mapping[str, Any]) -> str:
    config = cloud.canary(lifecycleHooks=list(hooks))
    return str(cloud.release("2", deploymentConfiguration=config))


def refused(cloud: Any, arn: str, hook_id: str, action: str = "CONTINUE") -> str:
    with pytest.raises(ClientError) as told:
        cloud.ecs.continue_service_deployment(
            serviceDeploymentArn=arn, hookId=hook_id, action=action
        )
    return str(told.value.response["Error"]["Message"])


def test_07_lambda_hooks_run_before_and_after_each_step(cloud: Any) -> None:
    cloud.up()
    release_with(cloud, cloud.function(*STEP_STAGES))
    cloud.wait(minutes=5)
    weights = [
        tuple(call["executionDetails"]["productionTrafficWeights"].values())
        for call in cloud.functions.calls
    ]
    assert cloud.functions.stages() == [*STEP_STAGES, *STEP_STAGES]
    assert weights == [(0, 100), (10, 90), (10, 90), (100, 0)]


def test_07_a_pause_holds_each_step_under_a_new_id(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT"))
    first = cloud.go_on(arn)
    cloud.wait(minutes=5)
    second = cloud.go_on(arn)
    assert first != second
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"


def test_07_lambda_hooks_run_once_at_every_other_stage(cloud: Any) -> None:
    cloud.up()
    release_with(cloud, cloud.function(*EVERY_FUNCTION_STAGE))
    cloud.wait(minutes=5)
    once = [stage for stage in EVERY_FUNCTION_STAGE if stage not in STEP_STAGES]
    assert [cloud.functions.stages().count(stage) for stage in once] == [1] * len(once)
    assert [cloud.functions.stages().count(stage) for stage in STEP_STAGES] == [2, 2]


@pytest.mark.parametrize("stage", ["TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"])
def test_08_a_pause_at_a_shift_is_refused(cloud: Any, stage: str) -> None:
    first = cloud.up()
    with pytest.raises(ClientError, match="Invalid lifecycle stage provided for Pause Hook"):
        release_with(cloud, cloud.pause(stage))
    assert cloud.latest() == first


def test_09_a_pause_shows_its_id_when_it_expires_and_what_then(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_SCALE_UP"))
    hook = cloud.paused(arn)[0]
    assert re.fullmatch(r"ecs-pause-[A-Za-z0-9_-]{43}", hook["hookId"])
    assert hook["targetType"] == "PAUSE"
    assert hook["expiresAt"] == cloud.clock.now() + timedelta(minutes=1440)
    assert hook["timeoutAction"] == "ROLLBACK"
    assert "targetArn" not in hook


def test_09_a_pause_that_nobody_answers_rolls_back(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("POST_TEST_TRAFFIC_SHIFT", timeoutInMinutes=5))
    cloud.wait(minutes=4, seconds=59)
    assert cloud.status(arn) == "IN_PROGRESS"
    cloud.wait(seconds=1)
    seen = cloud.see(arn)
    assert seen["status"] == "ROLLBACK_SUCCESSFUL"
    assert seen["lifecycleHookDetails"][0]["status"] == "TIMED_OUT"
    assert seen["statusReason"] == (
        "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT pause hook timed out."
    )


def test_09_a_pause_whose_time_out_continues_passes(cloud: Any) -> None:
    cloud.up()
    hook = cloud.pause("POST_SCALE_UP", timeoutInMinutes=5, action="CONTINUE")
    arn = release_with(cloud, hook)
    cloud.wait(minutes=5)
    assert cloud.see(arn)["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"
    assert cloud.events.names("ECS Hook State Change") == [
        "HOOK_AWAITING_ACTION",
        "HOOK_TIMED_OUT",
    ]


def test_10_continue_is_refused_with_the_documented_words(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_SCALE_UP"))
    hook = cloud.paused(arn)[0]["hookId"]
    dead = "Provided hookId is either completed, unavailable, or not associated with the given"
    assert refused(cloud, arn, "pause-1") == (
        "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"
    )
    assert dead in refused(cloud, arn, hook[:-4] + "aaaa")
    assert refused(cloud, arn[:-2], hook) == "The service deployment does not exist."
    cloud.go_on(arn)
    assert dead in refused(cloud, arn, hook)
    cloud.wait(minutes=60)
    cloud.wait(minutes=60)
    assert refused(cloud, arn, hook) == (
        "Continuing a service deployment is not allowed for service deployment in terminal states."
    )


def test_10_continue_with_rollback_rolls_back(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT"))
    cloud.go_on(arn)
    cloud.wait(minutes=5)
    cloud.go_on(arn, action="ROLLBACK")
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.releases_running() == ["1", "1"]


def test_11_old_hook_ids_are_dead_after_a_newer_deployment(cloud: Any) -> None:
    cloud.up()
    old = release_with(cloud, cloud.pause("PRE_SCALE_UP"))
    hook = cloud.paused(old)[0]["hookId"]
    new = cloud.release("3")
    assert "terminal states" in refused(cloud, old, hook)
    assert "not associated" in refused(cloud, new, hook)
    assert cloud.paused(old) == []


def test_12_all_hooks_of_a_stage_must_pass(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_SCALE_UP"), cloud.pause("PRE_SCALE_UP"))
    assert len(cloud.paused(arn)) == 2
    cloud.go_on(arn)
    assert cloud.see(arn)["lifecycleStage"] == "PRE_SCALE_UP"
    cloud.go_on(arn)
    assert cloud.see(arn)["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"


def test_12_the_first_rollback_wins_over_hooks_that_still_wait(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.pause("PRE_SCALE_UP"), cloud.pause("PRE_SCALE_UP"))
    cloud.go_on(arn, action="ROLLBACK")
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.paused(arn) == []


def test_13_the_payload_of_a_lambda_hook(cloud: Any) -> None:
    cloud.up()
    hook = cloud.function("POST_TEST_TRAFFIC_SHIFT", hookDetails={"policy": {"alpha": 0.01}})
    arn = release_with(cloud, hook)
    (call,) = cloud.functions.calls
    seen = cloud.see(arn)
    assert call.pop("executionId")
    assert call == {
        "function": GATE,
        "lifecycleStage": "POST_TEST_TRAFFIC_SHIFT",
        "resourceArn": arn,
        "executionDetails": {
            "serviceArn": seen["serviceArn"],
            "targetServiceRevisionArn": seen["targetServiceRevision"]["arn"],
            "testTrafficWeights": {},
            "productionTrafficWeights": {},
        },
        "hookDetails": {"policy": {"alpha": 0.01}},
    }


def test_13_test_weights_are_told_at_the_test_shift(cloud: Any) -> None:
    cloud.up()
    arn = release_with(cloud, cloud.function("TEST_TRAFFIC_SHIFT"))
    target = cloud.see(arn)["targetServiceRevision"]["arn"]
    details = cloud.functions.calls[0]["executionDetails"]
    assert details["testTrafficWeights"][target] == 100
    assert details["productionTrafficWeights"] == {}


@pytest.mark.parametrize(("answer", "seconds"), [({"callBackDelay": 7}, 7), ({}, 30)])
def test_13_in_progress_is_called_again_after_the_callback_delay(
    cloud: Any, answer: dict[str, Any], seconds: int
) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: {"hookStatus": "IN_PROGRESS", **answer}
    arn = release_with(cloud, cloud.function("PRE_SCALE_UP"))
    assert cloud.see(arn)["lifecycleHookDetails"][0]["status"] == "IN_PROGRESS"
    assert cloud.see(arn)["lifecycleHookDetails"][0]["targetArn"] == GATE
    cloud.wait(seconds=seconds - 1)
    assert len(cloud.functions.calls) == 1
    cloud.wait(seconds=1)
    assert len(cloud.functions.calls) == 2
    first, second = (call["executionId"] for call in cloud.functions.calls)
    assert first == second


def test_13_hook_details_are_merged_and_handed_back_within_one_deployment(cloud: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: {
        "hookStatus": "SUCCEEDED",
        "hookDetails": {"state": len(cloud.functions.calls)},
    }
    hook = cloud.function("PRE_SCALE_UP", "POST_SCALE_UP", hookDetails={"policy": 1})
    release_with(cloud, hook, cloud.function("POST_SCALE_UP"))
    assert [call["hookDetails"] for call in cloud.functions.calls] == [
        {"policy": 1},
        {"policy": 1, "state": 1},
        {},
    ]
    cloud.functions.calls.clear()
    cloud.release("3")
    assert cloud.functions.calls[0]["hookDetails"] == {"policy": 1}


def test_13_a_failed_answer_rolls_back_with_the_documented_reason(cloud: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: {"hookStatus": "FAILED"}
    arn = release_with(cloud, cloud.function("POST_TEST_TRAFFIC_SHIFT"))
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"] == (
        "Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed. "
        f"Lifecycle hook target {GATE} returned FAILED status."
    )


@pytest.mark.parametrize("answer", [None, {}, {"hookStatus": None}, {"hookStatus": "OK"}, "yes"])
def test_13_an_answer_without_a_hook_status_rolls_back(cloud: Any, answer: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: answer
    arn = release_with(cloud, cloud.function("POST_SCALE_UP"))
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"].endswith(
        f"ECS was unable to parse the response from {GATE} due to HookStatus must not be null"
    )


def test_13_a_function_that_fails_rolls_back(cloud: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: RuntimeError("no such function")
    arn = release_with(cloud, cloud.function("POST_SCALE_UP"))
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert "no such function" in cloud.see(arn)["statusReason"]


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_13_a_function_has_30_real_seconds_for_an_answer(make_cloud: Any, speed: float) -> None:
    cloud = make_cloud(speed=speed)
    cloud.up()
    cloud.functions.script = lambda payload: NEVER
    arn = release_with(cloud, cloud.function("POST_SCALE_UP"))
    cloud.wait(seconds=29 * speed)
    assert cloud.status(arn) == "IN_PROGRESS"
    cloud.wait(seconds=speed)
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert "within 30 seconds" in cloud.see(arn)["statusReason"]


def test_13_a_lambda_hook_that_never_decides_times_out(cloud: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: {"hookStatus": "IN_PROGRESS", "callBackDelay": 600}
    hook = {
        **cloud.function("POST_SCALE_UP"),
        "timeoutConfiguration": {"timeoutInMinutes": 20, "action": "ROLLBACK"},
    }
    arn = release_with(cloud, hook)
    cloud.wait(minutes=20)
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["lifecycleHookDetails"][0]["status"] == "TIMED_OUT"


def test_24_a_first_deployment_has_no_source_and_its_hooks_fire(cloud: Any) -> None:
    hooks = [cloud.function(*STEP_STAGES), cloud.pause("POST_SCALE_UP")]
    arn = cloud.create(deploymentConfiguration=cloud.canary(lifecycleHooks=hooks))
    cloud.settle()
    assert cloud.see(arn)["sourceServiceRevisions"] == []
    assert len(cloud.paused(arn)) == 1
    cloud.go_on(arn)
    assert cloud.functions.stages() == list(STEP_STAGES)
    target = cloud.see(arn)["targetServiceRevision"]["arn"]
    weights = [
        call["executionDetails"]["productionTrafficWeights"] for call in cloud.functions.calls
    ]
    assert weights == [{target: 0}, {target: 100}]
    cloud.wait(minutes=3)
    assert cloud.status(arn) == "SUCCESSFUL"
