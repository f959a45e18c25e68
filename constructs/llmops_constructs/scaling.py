"""How many tasks of a service run: by the requests each bears, and by the clock.

During a release both revisions run at full size, and each target group sees a share of the traffic:
with n tasks each, blue gets 0.9 R/n requests per target and green 0.1 R/n, together R/n whatever
the shares are. The sum over both groups is therefore what one task of the live size bears, before,
during and after a switch. The predefined metric ALBRequestCountPerTarget follows one group only
and reads zero once the other one serves. A group that has no data counts as 0 in the sum, as long
as the other one has. ("Create a target tracking scaling policy using metric math", Application Auto
Scaling user guide: whatever CloudWatch's metric math knows, one time series in the end.)

Where nobody asks anything there may be no data at all, and target tracking does not take that for
little work: it would keep what the last rush needed. A second policy takes one task away for each
quarter of an hour in which the tasks asked for are more than the minimum and bear a tenth of what
they should.

While ECS deploys, Application Auto Scaling does not scale in; it goes on scaling out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from llmops_constructs._validation import Rule
from llmops_constructs.names import resource_name
from llmops_constructs.routing import Routing
from llmops_constructs.steps import MINUTE, Step, add_step, desired_tasks

CRON = re.compile(r"\S+( \S+){5}")
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
NAMESPACE, METRIC = "AWS/ApplicationELB", "RequestCountPerTarget"
QUIET_MINUTES = 15
"""As long as target tracking waits before it takes a task away."""
MOST_TASKS = 5000
"""Quota "Tasks per service" of ECS."""
ROLE = (
    "aws-service-role/ecs.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_ECSService"
)
"""The service-linked role that Application Auto Scaling changes the number of tasks with."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """When a service runs; in between it has no task.

    `start` and `stop` are cron expressions of Application Auto Scaling: minute, hour, day of month,
    month, day of week, year, e.g. `0 7 ? * MON-FRI *`; `time_zone` is a name of the IANA database
    that Joda-Time knows, so that summer time is followed.
    """

    start: str
    stop: str
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Tasks of a revision, `minimum` to `maximum`, so that each bears `requests_per_minute`.

    With `hours` it runs in these only. A release in between meets no task and no request, so it
    proves nothing. Zero tasks without `hours` are refused: a load balancer holds no request until
    one has started.
    """

    minimum: int = 2
    maximum: int = 6
    requests_per_minute: float = 600
    scale_in_seconds: int = 300
    scale_out_seconds: int = 60
    hours: Sequence[Hours] = ()


def scaling_rules(scaling: Scaling | None) -> list[Rule]:
    """What a service's scaling may not be."""
    if scaling is None:
        return []
    return [
        (
            not 1 <= scaling.minimum <= scaling.maximum <= MOST_TASKS,
            f"scaling is {scaling.minimum} to {scaling.maximum} tasks; it must be 1 <= minimum <= "
            f"maximum <= {MOST_TASKS}; zero tasks come with `hours`.",
        ),
        (
            scaling.requests_per_minute <= 0,
            f"scaling.requests_per_minute is {scaling.requests_per_minute}; it must be above 0.",
        ),
        *(rule for hours in scaling.hours for rule in _hours_rules(hours)),
    ]


def _hours_rules(hours: Hours) -> list[Rule]:
    wrong = [each for each in (hours.start, hours.stop) if not CRON.fullmatch(each)]
    return [
        (
            bool(wrong),
            f"hours: '{', '.join(wrong)}' is not minute, hour, day of month, month, day of week "
            "and year, e.g. '0 7 ? * MON-FRI *'.",
        ),
        (hours.start == hours.stop, f"hours start and stop at the same time, '{hours.start}'."),
        (
            ZONE.fullmatch(hours.time_zone) is None,
            f"hours.time_zone '{hours.time_zone}' is no name of the IANA database, e.g. "
            "'Europe/Berlin'.",
        ),
    ]


def scale_by_requests(
    scope: Construct,
    prefix: str,
    service: ecs.FargateService,
    routing: Routing,
    scaling: Scaling,
) -> appscaling.ScalableTarget:
    """Keeps the requests that one task bears, over both target groups, near the target."""
    target = scalable_target(scope, service, scaling.minimum, scaling.maximum)
    for number, hours in enumerate(scaling.hours):
        _keep_hours(target, number, hours, scaling)
    groups = _groups(routing)
    appscaling.CfnScalingPolicy(
        scope,
        "Requests",
        policy_name="requests-per-task",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.scalable_target_id,
        target_tracking_scaling_policy_configuration=(
            appscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=scaling.requests_per_minute,
                scale_in_cooldown=scaling.scale_in_seconds,
                scale_out_cooldown=scaling.scale_out_seconds,
                customized_metric_specification=_requests(groups),
            )
        ),
    )
    seen = {name: _metric(group) for name, group in groups.items()}
    name = resource_name(prefix, "service-quiet")
    add_step(scope, target, _quiet(scaling), name, {**seen, "tasks": desired_tasks(service)})
    return target


def _quiet(scaling: Scaling) -> Step:
    """`0 * tasks` gives the sum a point wherever there are tasks."""
    little = scaling.requests_per_minute / 10
    borne = "0 * tasks + blue + green"
    return Step(
        name="Quiet",
        expression=f"IF(tasks > {scaling.minimum} AND {borne} < {little:g}, 1, 0)",
        minutes=QUIET_MINUTES,
        changes={0: -1},
        cooldown_seconds=60 * QUIET_MINUTES,
    )


def _groups(routing: Routing) -> dict[str, str]:
    """The names of both target groups, as CloudWatch has them."""
    arns = {
        "blue": routing.target_group_arn,
        "green": str(routing.alternate_target_group_arn),
    }
    return {name: cdk.Fn.select(5, cdk.Fn.split(":", arn)) for name, arn in arns.items()}


def _metric(group: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=METRIC,
        dimensions_map={"TargetGroup": group},
        period=MINUTE,
        statistic="Sum",
    )


def _requests(
    groups: Mapping[str, str],
) -> appscaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty:
    policy = appscaling.CfnScalingPolicy
    total = policy.TargetTrackingMetricDataQueryProperty(
        id="requests",
        expression=" + ".join(groups),
        label="requests a minute that one task bears",
        return_data=True,
    )
    seen = [
        policy.TargetTrackingMetricDataQueryProperty(
            id=name, metric_stat=_per_target(group), return_data=False
        )
        for name, group in groups.items()
    ]
    return policy.CustomizedMetricSpecificationProperty(metrics=[*seen, total])


def _per_target(group: str) -> appscaling.CfnScalingPolicy.TargetTrackingMetricStatProperty:
    """RequestCountPerTarget of a group; its only statistic is Sum, and it is an average."""
    policy = appscaling.CfnScalingPolicy
    dimension = policy.TargetTrackingMetricDimensionProperty(name="TargetGroup", value=group)
    return policy.TargetTrackingMetricStatProperty(
        metric=policy.TargetTrackingMetricProperty(
            namespace=NAMESPACE, metric_name=METRIC, dimensions=[dimension]
        ),
        stat="Sum",
    )


def scalable_target(
    scope: Construct, service: ecs.FargateService, minimum: int, maximum: int
) -> appscaling.ScalableTarget:
    """The number of tasks of a service, to be changed within these bounds."""
    stack = cdk.Stack.of(scope)
    role = stack.format_arn(service="iam", region="", resource="role", resource_name=ROLE)
    return appscaling.ScalableTarget(
        scope,
        "Scaling",
        service_namespace=appscaling.ServiceNamespace.ECS,
        resource_id=f"service/{service.cluster.cluster_name}/{service.service_name}",
        scalable_dimension="ecs:service:DesiredCount",
        min_capacity=minimum,
        max_capacity=maximum,
        role=iam.Role.from_role_arn(scope, "ScalingRole", role, mutable=False),
    )


def _keep_hours(
    target: appscaling.ScalableTarget, number: int, hours: Hours, scaling: Scaling
) -> None:
    for name, cron, least, most in (
        (f"Start{number}", hours.start, scaling.minimum, scaling.maximum),
        (f"Stop{number}", hours.stop, 0, 0),
    ):
        target.scale_on_schedule(
            name,
            schedule=appscaling.Schedule.expression(f"cron({cron})"),
            time_zone=cdk.TimeZone.of(hours.time_zone),
            min_capacity=least,
            max_capacity=most,
        )
