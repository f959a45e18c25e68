"""Defaults, ranges, time limits and refusals (behaviours 28, 29, 30, 32)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from llmops_localcloud.ecs.memory import BLUE, GREEN, PRODUCTION, TEST
from llmops_localcloud.ports import TargetHealth


def refusal(cloud: Any, **overrides: Any) -> str:
    with pytest.raises(ClientError) as told:
        cloud.create(**overrides)
    assert cloud.engine.services == {}
    return str(told.value.response["Error"]["Message"])


def test_28_defaults_of_a_canary(cloud: Any) -> None:
    cloud.create(
        deploymentConfiguration={
            "strategy": "CANARY",
            "lifecycleHooks": [cloud.function("PRE_SCALE_UP")],
        }
    )
    config = cloud.service()["deploymentConfiguration"]
    assert config["canaryConfiguration"] == {
        "canaryPercent": 5.0,
        "canaryBakeTimeInMinutes": 10,
    }
    assert config["bakeTimeInMinutes"] == 15
    assert config["lifecycleHooks"][0]["timeoutConfiguration"] == {
        "timeoutInMinutes": 1440,
        "action": "ROLLBACK",
    }


def test_28_defaults_of_a_linear_deployment(cloud: Any) -> None:
    cloud.create(deploymentConfiguration={"strategy": "LINEAR"})
    config = cloud.service()["deploymentConfiguration"]
    assert config["linearConfiguration"] == {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6}


@pytest.mark.parametrize(
    ("strategy", "key", "name", "value"),
    [
        ("CANARY", "canaryConfiguration", "canaryPercent", 0.05),
        ("CANARY", "canaryConfiguration", "canaryPercent", 100.1),
        ("CANARY", "canaryConfiguration", "canaryPercent", 10.25),
        ("CANARY", "canaryConfiguration", "canaryBakeTimeInMinutes", 1441),
        ("LINEAR", "linearConfiguration", "stepPercent", 2.9),
        ("LINEAR", "linearConfiguration", "stepBakeTimeInMinutes", -1),
    ],
)
def test_28_values_out_of_range_are_refused(
    cloud: Any, strategy: str, key: str, name: str, value: float
) -> None:
    config = {"strategy": strategy, key: {name: value}}
    assert name in refusal(cloud, deploymentConfiguration=config)


@pytest.mark.parametrize("percent", [0.1, 100.0])
def test_28_values_at_the_ends_of_the_range_are_taken(cloud: Any, percent: float) -> None:
    cloud.create(deploymentConfiguration=cloud.canary(percent=percent, canary_bake=1440, bake=0))
    config = cloud.service()["deploymentConfiguration"]
    assert config["canaryConfiguration"]["canaryPercent"] == percent


@pytest.mark.parametrize(
    ("kind", "minutes", "taken"),
    [
        ("PAUSE", 20160, True),
        ("PAUSE", 20161, False),
        ("AWS_LAMBDA", 1440, True),
        ("AWS_LAMBDA", 1441, False),
        ("PAUSE", 0, False),
    ],
)
def test_28_hook_timeouts_have_their_ranges(
    cloud: Any, kind: str, minutes: int, taken: bool
) -> None:
    hook = cloud.pause("PRE_SCALE_UP") if kind == "PAUSE" else cloud.function("PRE_SCALE_UP")
    hook["timeoutConfiguration"] = {"timeoutInMinutes": minutes}
    config = cloud.canary(lifecycleHooks=[hook])
    if taken:
        cloud.create(deploymentConfiguration=config)
    else:
        cloud.ecs.meta.config.parameter_validation = False
        with pytest.raises((ClientError, ParamValidationError), match="timeoutInMinutes"):
            cloud.create(deploymentConfiguration=config)


def test_28_arn_and_hook_id_are_required(cloud: Any) -> None:
    for parameters in ({"hookId": "ecs-pause-x"}, {"serviceDeploymentArn": "arn"}):
        with pytest.raises(ParamValidationError, match="Missing required parameter"):
            cloud.ecs.continue_service_deployment(**parameters)


def test_29_a_target_that_never_gets_healthy_fails_after_24_hours(cloud: Any) -> None:
    cloud.up()
    cloud.targets.first_health = TargetHealth.INITIAL
    arn = cloud.release("2")
    cloud.wait(hours=23, minutes=59)
    assert cloud.see(arn)["lifecycleStage"] == "SCALE_UP"
    cloud.wait(minutes=1)
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert cloud.see(arn)["statusReason"] == (
        "Service deployment rolled back because SCALE_UP did not end within 24 hours."
    )


def test_29_a_pause_may_last_14_days(cloud: Any) -> None:
    cloud.up()
    pause = cloud.pause("PRE_PRODUCTION_TRAFFIC_SHIFT", timeoutInMinutes=20160)
    arn = cloud.release("2", deploymentConfiguration=cloud.canary(lifecycleHooks=[pause]))
    cloud.wait(days=13)
    assert cloud.status(arn) == "IN_PROGRESS"
    cloud.wait(days=1)
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"


def test_29_a_deployment_ends_after_30_days(cloud: Any) -> None:
    cloud.up()
    stages = ["POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"]
    pauses = [cloud.pause(stage, timeoutInMinutes=20160, action="CONTINUE") for stage in stages]
    arn = cloud.release("2", deploymentConfiguration=cloud.canary(lifecycleHooks=pauses))
    for _ in range(2):
        cloud.wait(days=14)
    assert cloud.status(arn) == "IN_PROGRESS"
    cloud.wait(days=2, seconds=1)
    assert cloud.status(arn) == "ROLLBACK_SUCCESSFUL"
    assert "30 days" in cloud.see(arn)["statusReason"]


def test_30_describe_services_shows_pauses_with_only_their_stages(cloud: Any) -> None:
    hooks = [cloud.pause("PRE_SCALE_UP", timeoutInMinutes=5), cloud.function("POST_SCALE_UP")]
    arn = cloud.create(deploymentConfiguration=cloud.canary(lifecycleHooks=hooks))
    shown = cloud.service()["deploymentConfiguration"]["lifecycleHooks"]
    assert shown[0] == {"lifecycleStages": ["PRE_SCALE_UP"]}
    assert shown[1]["targetType"] == "AWS_LAMBDA"
    full = cloud.see(arn)["deploymentConfiguration"]["lifecycleHooks"]
    assert full[0]["targetType"] == "PAUSE"


@pytest.mark.parametrize(
    ("advanced", "message"),
    [
        (
            {"productionListenerRule": BLUE},
            "productionListenerRule has an invalid ARN format. Must be RuleArn for ALB or "
            f"ListenerArn for NLB. Got: {BLUE}",
        ),
        (
            {"testListenerRule": PRODUCTION},
            "The following rules cannot be used as both production and test listener rules: "
            f"[{PRODUCTION}]",
        ),
        ({"alternateTargetGroupArn": BLUE}, f"Duplicate targetGroupArn found: {BLUE}"),
    ],
)
def test_32_rules_and_groups_are_validated(
    cloud: Any, advanced: dict[str, str], message: str
) -> None:
    assert refusal(cloud, loadBalancers=[cloud.load_balancer(**advanced)]) == message


def test_32_without_a_test_rule_the_production_rule_must_name_both_groups(cloud: Any) -> None:
    balancer = cloud.load_balancer()
    del balancer["advancedConfiguration"]["testListenerRule"]
    cloud.router.rules[PRODUCTION] = {BLUE: 1}
    assert refusal(cloud, loadBalancers=[balancer]) == (
        "For Application LoadBalancer, testListenerRule is required when productionListenerRule "
        "is not associated with both targetGroup and alternateTargetGroup"
    )


def test_32_a_shifting_strategy_needs_advanced_configuration(cloud: Any) -> None:
    plain = cloud.load_balancer()
    del plain["advancedConfiguration"]
    assert refusal(cloud, loadBalancers=[plain]) == (
        "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING "
        "deployment strategy"
    )
    other = {**plain, "targetGroupArn": GREEN}
    assert refusal(cloud, loadBalancers=[cloud.load_balancer(), other]) == (
        "Either all or none of the provided loadBalancers must have advancedConfiguration defined"
    )


@pytest.mark.parametrize("strategy", ["CANARY", "LINEAR"])
def test_32_canary_and_linear_need_a_load_balancer(cloud: Any, strategy: str) -> None:
    config = {"strategy": strategy}
    assert "requires a load balancer" in refusal(
        cloud, loadBalancers=[], deploymentConfiguration=config
    )


def test_32_blue_green_works_without_a_load_balancer(cloud: Any) -> None:
    config = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}
    cloud.up(loadBalancers=[], deploymentConfiguration=config)
    arn = cloud.release("2")
    assert cloud.status(arn) == "SUCCESSFUL"
    assert cloud.releases_running() == ["2", "2"]


def test_32_an_unknown_hook_type_is_refused(cloud: Any) -> None:
    hook = {**cloud.pause("PRE_SCALE_UP"), "targetType": "STEP"}
    config = cloud.canary(lifecycleHooks=[hook])
    message = refusal(cloud, deploymentConfiguration=config)
    assert message == "Invalid targetType. Valid values are: AWS_LAMBDA, PAUSE"


@pytest.mark.parametrize(
    "parameters",
    [
        {"serviceRegistries": [{"registryArn": "arn"}]},
        {"serviceConnectConfiguration": {"enabled": True}},
        {"placementConstraints": [{"type": "distinctInstance"}]},
        {"schedulingStrategy": "DAEMON"},
        {"deploymentController": {"type": "EXTERNAL"}},
        {"launchType": "EXTERNAL"},
    ],
)
def test_what_is_not_emulated_is_refused_by_name(cloud: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as told:
        cloud.create(**parameters)
    assert told.value.response["Error"]["Code"] == "UnsupportedFeatureException"
    assert re.search("not emulated", str(told.value))


def test_operations_that_would_do_nothing_are_refused(cloud: Any) -> None:
    with pytest.raises(ClientError, match="RunTask is not emulated"):
        cloud.ecs.run_task(cluster="c", taskDefinition=cloud.register())


def test_a_parameter_the_model_does_not_know_is_refused(cloud: Any) -> None:
    cloud.ecs.meta.events.register(
        "before-call.ecs.UpdateService",
        lambda params, **_: params.update(body=b'{"service": "web", "taskdefinition": "x"}'),
    )
    with pytest.raises(ClientError, match='Unknown parameter in input: "taskdefinition"'):
        cloud.ecs.update_service(service="web")


def test_rules_named_in_the_wrong_role_do_not_move(cloud: Any) -> None:
    cloud.up()
    cloud.release("2")
    assert {rule for rule, _ in cloud.router.changes} == {PRODUCTION, TEST}
