"""AWS::DynamoDB::Table: moto's own forgets the time to live and the backups of the template."""

from __future__ import annotations

from typing import Any

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client, fitting

FIXED = {"KeySchema", "TableName", "Tags", "LocalSecondaryIndexes", "SSESpecification"}
"""What CreateTable takes and UpdateTable does not, or only to replace what is there."""


def _table(place: Place, properties: Properties) -> Made:
    dynamodb = client("dynamodb", place)
    given = fitting(dynamodb, "CreateTable", _spelled(properties))
    table = dynamodb.create_table(**{**given, "TableName": place.name})["TableDescription"]
    attributes = {"Arn": table["TableArn"], "TableId": table.get("TableId", place.name)}
    if table.get("LatestStreamArn"):
        attributes["StreamArn"] = table["LatestStreamArn"]
    made = Made(place.name, attributes)
    _configure(dynamodb, place.name, properties)
    return made


def _changed(place: Place, made: Made, properties: Properties) -> Made:
    dynamodb, name = client("dynamodb", place), made.physical_resource_id
    given = fitting(dynamodb, "UpdateTable", _spelled(properties))
    changes = {key: value for key, value in given.items() if key not in FIXED}
    dynamodb.update_table(**{**changes, "TableName": name})
    _configure(dynamodb, name, properties)
    return made


def _configure(dynamodb: Any, name: str, properties: Properties) -> None:
    live = properties.get("TimeToLiveSpecification")
    if live:
        known = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        enabled = str(live.get("Enabled", True)).lower() == "true"
        if enabled != known["TimeToLiveStatus"].startswith("ENABL"):
            dynamodb.update_time_to_live(
                TableName=name,
                TimeToLiveSpecification={**live, "Enabled": enabled},
            )
    backups = properties.get("PointInTimeRecoverySpecification")
    if backups:
        enabled = str(backups.get("PointInTimeRecoveryEnabled", False)).lower() == "true"
        dynamodb.update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )


def _spelled(properties: Properties) -> dict[str, Any]:
    """CloudFormation's properties in the API's spelling."""
    given = dict(properties)
    encryption = given.pop("SSESpecification", None)
    if encryption is not None:
        enabled = str(encryption.get("SSEEnabled", False)).lower() == "true"
        rest = {key: value for key, value in encryption.items() if key != "SSEEnabled"}
        given["SSESpecification"] = {"Enabled": enabled, **rest}
    return given


def _delete(place: Place, _: Properties) -> None:
    client("dynamodb", place).delete_table(TableName=place.name)


add_type("AWS::DynamoDB::Table", _table, update=_changed, delete=_delete, name_property="TableName")
