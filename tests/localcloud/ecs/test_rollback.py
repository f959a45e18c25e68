"""The way back (behaviours 14 to 18)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from llmops_localcloud.ecs.memory import BLUE, GREEN, PRODUCTION, TEST

SHIFTS = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")


def stop(cloud: Any, arn: str, **more: Any) -> None:
    cloud.ecs.stop_service_deployment(serviceDeploymentArn=arn, **more)


def test_14_rollback_calls_the_shift_hooks_again_with_reversed_weights(cloud: Any) -> None:
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.function(*SHIFTS, "PRE_PRODUCTION_TRAFFIC_SHIFT")])
    arn = cloud.release("2", deploymentConfiguration=config)
    target = cloud.see(arn)["targetServiceRevision"]["arn"]
    source = cloud.see(arn)["sourceServiceRevisions"][0]["arn"]
    cloud.functions.calls.clear()
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    production, test = cloud.functions.calls
    assert production["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT"
    assert production["executionDetails"]["productionTrafficWeights"] == {target: 0, source: 100}
    assert test["lifecycleStage"] == "TEST_TRAFFIC_SHIFT"
    assert test["executionDetails"]["testTrafficWeights"] == {target: 0, source: 100}
    for call in cloud.functions.calls:
        assert call["executionDetails"]["targetServiceRevisionArn"] == target


@pytest.mark.parametrize(
    ("fails", "status"), [(True, "ROLLBACK_FAILED"), (False, "ROLLBACK_SUCCESSFUL")]
)
def test_14_whether_a_failing_hook_fails_the_rollback_is_a_switch(
    make_cloud: Any, fails: bool, status: str
) -> None:
    cloud = make_cloud(hook_failure_fails_rollback=fails)
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.function("PRODUCTION_TRAFFIC_SHIFT")])
    arn = cloud.release("2", deploymentConfiguration=config)
    cloud.functions.script = lambda payload: {"hookStatus": "FAILED"}
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == status
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}
    assert cloud.releases_running() == ["1", "1"]


def test_14_stages_that_were_not_reached_are_not_called_in_a_rollback(cloud: Any) -> None:
    cloud.up()
    config = cloud.canary(lifecycleHooks=[cloud.function(*SHIFTS), cloud.pause("POST_SCALE_UP")])
    arn = cloud.release("2", deploymentConfiguration=config)
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.functions.calls == []
    assert cloud.router.changes == [(PRODUCTION, {BLUE: 100, GREEN: 0})]


def test_15_no_hook_pauses_during_a_rollback(cloud: Any) -> None:
    cloud.up()
    stages = ["PRE_SCALE_UP", "POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT"]
    pauses = [cloud.pause(stage) for stage in [*stages, "PRE_PRODUCTION_TRAFFIC_SHIFT"]]
    arn = cloud.release("2", deploymentConfiguration=cloud.canary(lifecycleHooks=pauses))
    for _ in pauses:
        cloud.go_on(arn)
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"


def test_16_stop_goes_through_requested_and_in_progress(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    cloud.targets.holds_draining = True
    stop(cloud, arn, stopType="ROLLBACK")
    assert cloud.status(arn) == "ROLLBACK_REQUESTED"
    stop(cloud, arn)
    assert cloud.status(arn) == "ROLLBACK_REQUESTED"
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_IN_PROGRESS"
    stop(cloud, arn)
    cloud.targets.finish_draining()
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"


def test_16_a_pending_deployment_can_be_stopped(cloud: Any) -> None:
    cloud.up()
    arn = cloud.update(taskDefinition=cloud.register("2"))
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.releases_running() == ["1", "1"]
    assert cloud.router.changes == []


def test_16_a_terminal_deployment_cannot_be_stopped(cloud: Any) -> None:
    arn = cloud.up()
    with pytest.raises(cloud.ecs.exceptions.ConflictException):
        stop(cloud, arn)
    with pytest.raises(cloud.ecs.exceptions.ServiceDeploymentNotFoundException):
        stop(cloud, arn[:-1])


def test_16_abort_is_refused(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    with pytest.raises(ClientError, match="Valid values are: ROLLBACK"):
        stop(cloud, arn, stopType="ABORT")
    assert cloud.status(arn) == "IN_PROGRESS"


def test_17_a_baking_deployment_can_be_rolled_back(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    cloud.wait(minutes=5)
    assert cloud.see(arn)["lifecycleStage"] == "BAKE_TIME"
    assert cloud.router.rules[PRODUCTION] == {BLUE: 0, GREEN: 100}
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}


def test_17_clean_up_cannot_be_rolled_back(cloud: Any) -> None:
    cloud.up()
    cloud.targets.holds_draining = True
    arn = cloud.release("2")
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.see(arn)["lifecycleStage"] == "CLEAN_UP"
    with pytest.raises(cloud.ecs.exceptions.ConflictException):
        stop(cloud, arn)
    cloud.targets.finish_draining()
    cloud.settle()
    assert cloud.status(arn) == "SUCCESSFUL"


def test_18_a_rollback_is_told_and_the_source_is_active_again(cloud: Any) -> None:
    cloud.up()
    before = cloud.service()["taskDefinition"]
    arn = cloud.release("2")
    stop(cloud, arn)
    cloud.settle()
    seen = cloud.see(arn)
    assert seen["rollback"]["serviceRevisionArn"] == seen["sourceServiceRevisions"][0]["arn"]
    assert seen["rollback"]["startedAt"] == cloud.clock.now()
    assert seen["rollback"]["reason"] == seen["statusReason"]
    assert cloud.service()["taskDefinition"] == before
    assert cloud.service()["deployments"][0]["taskDefinition"] == before
    assert cloud.releases_running() == ["1", "1"]


def test_18_the_rejected_task_definition_stays_the_latest_active(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    stop(cloud, arn)
    cloud.settle()
    latest = cloud.ecs.describe_task_definition(taskDefinition="web")["taskDefinition"]
    assert latest["status"] == "ACTIVE"
    assert latest["containerDefinitions"][0]["environment"][0]["value"] == "2"


def test_weights_go_back_before_the_target_is_stopped(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    cloud.targets.holds_draining = True
    stop(cloud, arn)
    cloud.settle()
    assert cloud.router.rules[PRODUCTION] == {BLUE: 100, GREEN: 0}
    assert cloud.router.rules[TEST] == {BLUE: 100, GREEN: 0}
    assert cloud.releases_running() == ["1", "1", "2", "2"]


def test_if_the_weights_cannot_go_back_the_target_keeps_serving(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    del cloud.router.rules[PRODUCTION]
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == "ROLLBACK_FAILED"
    assert "unable to change the weights" in cloud.see(arn)["statusReason"]
    assert cloud.releases_running() == ["1", "1", "2", "2"]


@pytest.mark.parametrize("status", ["ROLLBACK_FAILED", "ROLLBACK_SUCCESSFUL"])
def test_what_the_rollback_of_a_first_deployment_ends_as_is_a_switch(
    make_cloud: Any, status: str
) -> None:
    cloud = make_cloud(first_rollback=status)
    config = cloud.canary(lifecycleHooks=[cloud.pause("POST_SCALE_UP")])
    arn = cloud.create(deploymentConfiguration=config)
    cloud.settle()
    stop(cloud, arn)
    cloud.settle()
    assert cloud.status(arn) == status
    assert cloud.tasks.running() == []
    assert "serviceRevisionArn" not in cloud.see(arn)["rollback"]
