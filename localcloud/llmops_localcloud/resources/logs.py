"""AWS::Logs::LogGroup: moto can only make one anew, and would lose what was logged."""

from __future__ import annotations

from typing import Any

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


add_type("AWS::Logs::LogGroup", _group, update=_changed, delete=_delete,
         name_property="LogGroupName")  # fmt: skip
