"""EventBridge events (behaviour 27)."""

from __future__ import annotations

from typing import Any

DEPLOYMENT, HOOK = "ECS Deployment State Change", "ECS Hook State Change"


def test_27_a_deployment_that_succeeds_tells_its_start_and_its_end(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    cloud.wait(minutes=5)
    cloud.wait(minutes=3)
    assert cloud.events.names(DEPLOYMENT) == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ]
    assert {source for source, _, _ in cloud.events.sent} == {"aws.ecs"}
    detail = cloud.events.last("SERVICE_DEPLOYMENT_COMPLETED")
    assert detail["eventType"] == "INFO"
    assert detail["serviceDeploymentArn"] == arn


def test_27_a_deployment_that_rolls_back_has_failed(cloud: Any) -> None:
    cloud.up()
    arn = cloud.release("2")
    cloud.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    cloud.settle()
    assert cloud.events.names(DEPLOYMENT) == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_FAILED",
    ]
    assert cloud.events.last("SERVICE_DEPLOYMENT_FAILED")["eventType"] == "ERROR"


def test_27_the_hook_event_names_the_stage_that_describe_cannot(cloud: Any) -> None:
    cloud.up()
    config = cloud.canary(
        lifecycleHooks=[
            cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT"),
            cloud.function("POST_SCALE_UP"),
        ]
    )
    arn = cloud.release("2", deploymentConfiguration=config)
    hook = cloud.go_on(arn)
    assert cloud.events.names(HOOK) == [
        "HOOK_IN_PROGRESS",
        "HOOK_SUCCEEDED",
        "HOOK_AWAITING_ACTION",
        "HOOK_SUCCEEDED",
    ]
    detail = cloud.events.last("HOOK_SUCCEEDED")
    assert detail["hookId"] == hook
    assert detail["lifecycleStage"] == "PRE_PRODUCTION_TRAFFIC_SHIFT"
    assert {"eventType", "eventName", "hookId", "hookType", "expiresAt", "lifecycleStage"} | {
        "clusterArn",
        "serviceArn",
        "serviceDeploymentArn",
        "updatedAt",
    } == set(detail)


def test_27_a_hook_that_fails_is_told(cloud: Any) -> None:
    cloud.up()
    cloud.functions.script = lambda payload: {"hookStatus": "FAILED"}
    config = cloud.canary(lifecycleHooks=[cloud.function("POST_SCALE_UP")])
    cloud.release("2", deploymentConfiguration=config)
    assert cloud.events.last("HOOK_FAILED")["eventType"] == "ERROR"
