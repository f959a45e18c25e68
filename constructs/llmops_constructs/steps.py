"""Alarms that move a number of tasks step by step.

The expressions keep to what "Using math expressions with CloudWatch metrics" says of points that
are missing: a sum or a comparison of two metrics takes them for 0 wherever one of the two has a
point. FILL is left out: where the newest minute comes late, as it does for most metrics, its value
would stand for that minute always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from constructs import Construct

MINUTE = cdk.Duration.minutes(1)
AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD


@dataclass(frozen=True, kw_only=True)
class Step:
    """When `expression`, over the metrics it names, is at least `threshold` in `points` of the last
    `minutes`, the number of tasks changes, at most once in `cooldown_seconds`.

    `changes` is by how much, by how far the value is above the threshold at least.
    """

    name: str
    expression: str
    minutes: int
    changes: Mapping[int, int]
    cooldown_seconds: int
    threshold: float = 1
    points: int | None = None


def desired_tasks(service: ecs.FargateService) -> cloudwatch.Metric:
    """The number of tasks that is asked for; Container Insights of the cluster knows it."""
    return cloudwatch.Metric(
        namespace="ECS/ContainerInsights",
        metric_name="DesiredTaskCount",
        dimensions_map={
            "ClusterName": service.cluster.cluster_name,
            "ServiceName": service.service_name,
        },
        period=MINUTE,
        statistic="Maximum",
    )


def add_step(
    scope: Construct,
    target: appscaling.ScalableTarget,
    step: Step,
    alarm_name: str,
    metrics: Mapping[str, cloudwatch.IMetric],
) -> cloudwatch.Alarm:
    """The alarm and the policy of a step; what is missing altogether moves nothing."""
    named = {name: metric for name, metric in metrics.items() if name in step.expression}
    alarm = cloudwatch.Alarm(
        scope,
        step.name,
        alarm_name=alarm_name,
        alarm_description="Moves the number of tasks; no person needs to look at it",
        metric=cloudwatch.MathExpression(
            expression=step.expression, period=MINUTE, using_metrics=named
        ),
        threshold=step.threshold,
        evaluation_periods=step.minutes,
        datapoints_to_alarm=step.points,
        comparison_operator=AT_LEAST,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    alarm.add_alarm_action(actions.ApplicationScalingAction(_policy(alarm, target, step)))
    return alarm


def _policy(
    scope: Construct, target: appscaling.ScalableTarget, step: Step
) -> appscaling.StepScalingAction:
    policy = appscaling.StepScalingAction(
        scope,
        "Step",
        scaling_target=target,
        adjustment_type=appscaling.AdjustmentType.CHANGE_IN_CAPACITY,
        cooldown=cdk.Duration.seconds(step.cooldown_seconds),
        metric_aggregation_type=appscaling.MetricAggregationType.MAXIMUM,
    )
    bounds = [*step.changes, None]
    for (low, change), high in zip(step.changes.items(), bounds[1:], strict=True):
        policy.add_adjustment(adjustment=change, lower_bound=low, upper_bound=high)
    return policy
