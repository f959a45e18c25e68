"""AWS::Logs::LogGroup, LogStream and MetricFilter; moto can only make a group anew, and would lose
what was logged."""

from __future__ import annotations

from typing import Any

from llmops_localcloud.cloudwatch.filters import compiled
from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client


def _group(place: Place, properties: Properties) -> Made:
    logs = client("logs", place)
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    key = {"kmsKeyId": properties["KmsKeyId"]} if "KmsKeyId" in properties else {}
    logs.create_log_group(logGroupName=place.name, tags=tags, **key)
    _retain(logs, place.name, properties)
    arn = f"arn:aws:logs:{place.region}:{place.account}:log-group:{place.name}:*"
    return Made(place.name, {"Arn": arn})


def _changed(place: Place, made: Made, properties: Properties) -> Made:
    _retain(client("logs", place), made.physical_resource_id, properties)
    return made


def _retain(logs: Any, name: str, properties: Properties) -> None:
    days = properties.get("RetentionInDays")
    if days is None:
        logs.delete_retention_policy(logGroupName=name)
    else:
        logs.put_retention_policy(logGroupName=name, retentionInDays=int(days))


def _delete(place: Place, _: Properties) -> None:
    client("logs", place).delete_log_group(logGroupName=place.name)


def _stream(place: Place, properties: Properties) -> Made:
    client("logs", place).create_log_stream(
        logGroupName=properties["LogGroupName"], logStreamName=place.name
    )
    return Made(place.name)


def _delete_stream(place: Place, properties: Properties) -> None:
    client("logs", place).delete_log_stream(
        logGroupName=properties["LogGroupName"], logStreamName=place.name
    )


def _filter(place: Place, properties: Properties) -> Made:
    """Raises PatternError for a pattern that the local cloud does not read."""
    compiled(properties["FilterPattern"])
    client("logs", place).put_metric_filter(
        logGroupName=properties["LogGroupName"],
        filterName=place.name,
        filterPattern=properties["FilterPattern"],
        metricTransformations=[_lowered(each) for each in properties["MetricTransformations"]],
    )
    return Made(place.name)


def _lowered(transformation: Properties) -> dict[str, Any]:
    """CloudFormation's spelling to the API's."""
    given = {key[0].lower() + key[1:]: value for key, value in transformation.items()}
    pairs = {each["Key"]: each["Value"] for each in given.pop("dimensions", [])}
    default = given.pop("defaultValue", None)
    return {
        **given,
        **({"dimensions": pairs} if pairs else {}),
        **({} if default is None else {"defaultValue": float(default)}),
    }


def _changed_filter(place: Place, made: Made, properties: Properties) -> Made:
    compiled(properties["FilterPattern"])
    named = Place(made.physical_resource_id, place.account, place.region)
    _delete_filter(named, properties)
    return _filter(named, properties)


def _delete_filter(place: Place, properties: Properties) -> None:
    client("logs", place).delete_metric_filter(
        logGroupName=properties["LogGroupName"], filterName=place.name
    )


add_type("AWS::Logs::LogStream", _stream, delete=_delete_stream, name_property="LogStreamName")
add_type("AWS::Logs::MetricFilter", _filter, update=_changed_filter, delete=_delete_filter,
         name_property="FilterName")  # fmt: skip
add_type("AWS::Logs::LogGroup", _group, update=_changed, delete=_delete,
         name_property="LogGroupName")  # fmt: skip
