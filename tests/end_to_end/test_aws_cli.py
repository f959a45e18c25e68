"""The AWS CLI works against the local cloud as it does against AWS."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from aws_cli import AwsCli
from operating import Operator, wait_until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]


@pytest.fixture
def aws(operator: Operator) -> AwsCli:
    return AwsCli(operator.variables["LLMOPS_ENDPOINT_URL"])


def of_the_service(operator: Operator) -> list[str]:
    prefix = operator.settings().prefix
    return ["--cluster", prefix, "--service", operator.settings().service_name]


def test_a_rollout_is_described_continued_and_stopped(operator: Operator, aws: AwsCli) -> None:
    manual = {"LLMOPS_CANARY__PROMOTION": "manual", "LLMOPS_JUDGE__MINIMUM_REQUESTS": "100000"}
    before = operator.serving()
    started = operator.run("release", operator.other(), "--no-wait", **manual)
    assert started.code == 3, started.stderr
    listed = aws("ecs", "list-service-deployments", *of_the_service(operator))
    arn = listed["serviceDeployments"][0]["serviceDeploymentArn"]

    def describe() -> Any:
        described = aws("ecs", "describe-service-deployments", "--service-deployment-arns", arn)
        (deployment,) = described["serviceDeployments"]
        return deployment

    pause = next(
        hook["hookId"]
        for hook in describe()["lifecycleHookDetails"]
        if hook["status"] == "AWAITING_ACTION"
    )
    resume = ["ecs", "continue-service-deployment", "--service-deployment-arn", arn]
    resume += ["--action", "CONTINUE", "--hook-id"]
    assert aws(*resume, pause) == {"serviceDeploymentArn": arn}
    assert describe()["targetServiceRevision"]["requestedProductionTrafficWeight"] == 10
    stopped = aws(
        "ecs", "stop-service-deployment", "--service-deployment-arn", arn, "--stop-type", "ROLLBACK"
    )
    assert stopped == {"serviceDeploymentArn": arn}
    wait_until(lambda: describe()["status"] == "ROLLBACK_SUCCESSFUL", "the rollback", 60)
    again = aws_error(aws.run(*resume, pause))
    assert "is not allowed for service deployment in terminal states" in again
    assert operator.serving() == before


def aws_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    return done.stderr


def test_rules_show_the_live_weights(operator: Operator, aws: AwsCli) -> None:
    (balancer,) = aws("elbv2", "describe-load-balancers")["LoadBalancers"]
    listeners = aws(
        "elbv2", "describe-listeners", "--load-balancer-arn", balancer["LoadBalancerArn"]
    )
    port = operator.settings().service.listener_port
    production = next(each for each in listeners["Listeners"] if each["Port"] == port)
    rules = aws("elbv2", "describe-rules", "--listener-arn", production["ListenerArn"])["Rules"]
    weights = operator.status()["target_group_weights"]
    (rule,) = [rule for rule in rules if not rule["IsDefault"]]
    groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert {group["TargetGroupArn"]: group["Weight"] for group in groups} == weights
    assert sorted(weights.values()) == [0, 100]


def test_alarms_are_described_with_their_state(operator: Operator, aws: AwsCli) -> None:
    alarms = aws("cloudwatch", "describe-alarms")["MetricAlarms"]
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
    assert states == operator.status()["alarms"]
    assert set(states.values()) == {"OK"}
