"""AWS::ApplicationAutoScaling::ScalableTarget of an ECS service: its limits, and nothing more.

A service whose template leaves its number of tasks to the scaling starts with one task, as on AWS,
and is brought within the limits. Policies and schedules do nothing.
"""

from __future__ import annotations

from llmops_localcloud.cloudformation.partial import add_partial
from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

DIMENSION = "ecs:service:DesiredCount"


def _target(place: Place, properties: Properties) -> Made:
    resource, dimension = properties["ResourceId"], properties["ScalableDimension"]
    if dimension == DIMENSION:
        _bring_within(place, resource, properties)
    return Made(f"{resource}|{dimension}|{properties['ServiceNamespace']}", {"Id": resource})


def _changed(place: Place, _: Made, properties: Properties) -> Made:
    return _target(place, properties)


def _bring_within(place: Place, resource: str, properties: Properties) -> None:
    _, cluster, name = resource.split("/")
    ecs = client("ecs", place)
    [service] = ecs.describe_services(cluster=cluster, services=[name])["services"]
    low, high = int(properties["MinCapacity"]), int(properties["MaxCapacity"])
    wanted = min(max(service["desiredCount"], low), high)
    if wanted != service["desiredCount"]:
        ecs.update_service(cluster=cluster, service=name, desiredCount=wanted)


def _missing(properties: Properties) -> list[str]:
    return ["ScheduledActions"] if properties.get("ScheduledActions") else []


add_type("AWS::ApplicationAutoScaling::ScalableTarget", _target, update=_changed)
add_partial("AWS::ApplicationAutoScaling::ScalableTarget", _missing)
