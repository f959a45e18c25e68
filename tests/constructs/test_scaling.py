"""How many tasks run, and on what."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from aws_cdk import aws_ecs as ecs
from aws_cdk.assertions import Template
from botocore.validate import ParamValidator
from kit_parts import service
from templates import only

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.backlog import WorkerScaling, worker_rules
from llmops_constructs.scaling import Hours, Scaling, scaling_rules
from llmops_constructs.spot import ALL_SPOT, SpotShare, spot_rules

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]

OFFICE = Hours(start="0 7 ? * MON-FRI *", stop="0 19 ? * MON-FRI *", time_zone="Europe/Berlin")


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    scaling = Scaling(minimum=2, maximum=10, requests_per_minute=300, hours=[OFFICE])
    service(stack, scaling=scaling, spot=SpotShare(base=2, on_demand=1, spot=3))
    return synthesized(stack)


def tracked(template: Template) -> dict[str, Any]:
    """The policy that follows the requests."""
    kind = "AWS::ApplicationAutoScaling::ScalingPolicy"
    (policy,) = template.find_resources(
        kind, {"Properties": {"PolicyType": "TargetTrackingScaling"}}
    ).values()
    return dict(policy["Properties"])


def test_the_target_is_the_sum_over_both_groups_whichever_serves(template: Template) -> None:
    policy = tracked(template)
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 300
    *groups, total = tracking["CustomizedMetricSpecification"]["Metrics"]
    assert (total["Expression"], total["ReturnData"]) == ("blue + green", True)
    for group, name in zip(groups, ("blue", "green"), strict=True):
        stat = group["MetricStat"]
        assert (group["Id"], group["ReturnData"], stat["Stat"]) == (name, False, "Sum")
        assert stat["Metric"]["MetricName"] == "RequestCountPerTarget"
        (dimension,) = stat["Metric"]["Dimensions"]
        assert dimension["Name"] == "TargetGroup"
        assert dimension["Value"].startswith(f"targetgroup/{name}/")


def test_silence_takes_a_task_away_each_quarter_of_an_hour(template: Template) -> None:
    """Target tracking does nothing without data, and without requests there may be none."""
    alarm = only(template, "AWS::CloudWatch::Alarm")
    (expression,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    assert expression == "IF(tasks > 2 AND 0 * tasks + blue + green < 30, 1, 0)"
    assert (alarm["EvaluationPeriods"], alarm["Threshold"]) == (15, 1)
    assert alarm["TreatMissingData"] == "notBreaching"
    policies = template.find_resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    step = policies[alarm["AlarmActions"][0]["Ref"]]["Properties"]
    (change,) = step["StepScalingPolicyConfiguration"]["StepAdjustments"]
    assert change["ScalingAdjustment"] == -1


def test_application_auto_scaling_understands_the_policy(template: Template) -> None:
    policy = tracked(template)
    model = botocore.session.get_session().get_service_model("application-autoscaling")
    shape = model.shape_for("TargetTrackingScalingPolicyConfiguration")
    value = policy["TargetTrackingScalingPolicyConfiguration"]
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()
    metrics = shape.members["CustomizedMetricSpecification"].members["Metrics"].member
    assert set(value) <= set(shape.members)
    for metric in value["CustomizedMetricSpecification"]["Metrics"]:
        assert set(metric) <= set(metrics.members)


def test_autoscaling_owns_the_number_of_tasks(template: Template) -> None:
    assert "DesiredCount" not in only(template, "AWS::ECS::Service")
    target = only(template, "AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 10)
    assert target["ScalableDimension"] == "ecs:service:DesiredCount"
    assert target["RoleARN"].endswith("/AWSServiceRoleForApplicationAutoScaling_ECSService")


def test_hours_take_it_to_zero_and_back_by_their_own_clock(template: Template) -> None:
    target = only(template, "AWS::ApplicationAutoScaling::ScalableTarget")
    start, stop = target["ScheduledActions"]
    assert start["Schedule"] == f"cron({OFFICE.start})"
    assert stop["Schedule"] == f"cron({OFFICE.stop})"
    assert start["Timezone"] == stop["Timezone"] == "Europe/Berlin"
    assert start["ScalableTargetAction"] == {"MinCapacity": 2, "MaxCapacity": 10}
    assert stop["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}


def test_the_first_tasks_are_never_on_spot(template: Template) -> None:
    found = only(template, "AWS::ECS::Service")
    assert found["CapacityProviderStrategy"] == [
        {"Base": 2, "CapacityProvider": "FARGATE", "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 3},
    ]
    assert "LaunchType" not in found
    assert found["DeploymentConfiguration"]["Strategy"] == "CANARY"


def test_a_new_cluster_may_use_spot(template: Template) -> None:
    assert only(template, "AWS::ECS::Cluster")["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]


def test_work_that_can_be_repeated_may_be_all_on_spot() -> None:
    (strategy,) = ALL_SPOT.strategies()
    assert isinstance(strategy, ecs.CapacityProviderStrategy)
    assert strategy.capacity_provider == "FARGATE_SPOT"


@pytest.mark.parametrize(
    ("change", "mistakes"),
    [
        ({}, 0),
        ({"minimum": 1, "maximum": 1}, 0),
        ({"minimum": 0}, 1),
        ({"minimum": 7}, 1),
        ({"maximum": 5000}, 0),
        ({"maximum": 5001}, 1),
        ({"requests_per_minute": 0}, 1),
        ({"hours": [OFFICE, OFFICE]}, 0),
        ({"hours": [replace(OFFICE, start="0 7 * * *")]}, 1),
        ({"hours": [replace(OFFICE, stop=OFFICE.start)]}, 1),
        ({"hours": [replace(OFFICE, time_zone="UTC")]}, 0),
        ({"hours": [replace(OFFICE, time_zone="+01:00")]}, 1),
    ],
)
def test_a_service_scales_within_what_aws_allows(change: dict[str, Any], mistakes: int) -> None:
    broken = [message for wrong, message in scaling_rules(replace(Scaling(), **change)) if wrong]
    assert len(broken) == mistakes


@pytest.mark.parametrize(
    ("share", "least", "mistakes"),
    [
        (SpotShare(), 1, 0),
        (SpotShare(base=0), 1, 1),
        (SpotShare(base=0), 0, 0),
        (ALL_SPOT, 0, 0),
        (SpotShare(base=1, on_demand=0), 1, 1),
        (SpotShare(spot=0), 1, 1),
        (SpotShare(spot=1000), 1, 0),
        (SpotShare(spot=1001), 1, 1),
        (None, 1, 0),
    ],
)
def test_a_share_on_spot_leaves_what_must_stay(
    share: SpotShare | None, least: int, mistakes: int
) -> None:
    assert sum(wrong for wrong, _ in spot_rules(share, least_base=least)) == mistakes


@pytest.mark.parametrize(
    ("change", "mistakes"),
    [
        ({}, 0),
        ({"minimum": 4}, 0),
        ({"minimum": 5}, 1),
        ({"maximum": 0}, 1),
        ({"age_seconds": 0}, 1),
        ({"idle_minutes": 3}, 0),
        ({"idle_minutes": 2}, 1),
        ({"idle_minutes": 60}, 0),
        ({"idle_minutes": 61}, 1),
    ],
)
def test_workers_scale_within_what_aws_allows(change: dict[str, Any], mistakes: int) -> None:
    broken = [
        message for wrong, message in worker_rules(replace(WorkerScaling(), **change)) if wrong
    ]
    assert len(broken) == mistakes


def test_a_service_names_all_that_is_wrong_with_its_scaling(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        service(new_stack(), scaling=Scaling(minimum=0), spot=SpotShare(base=0), canary=None)
    assert len(caught.value.mistakes) == 3
