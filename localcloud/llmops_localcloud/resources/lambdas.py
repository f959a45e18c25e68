"""AWS::Lambda::Version and Alias: moto's CloudFormation has a version without its number, no alias.

A version stays until its function goes, as it does under `DeletionPolicy: Retain`.
"""

from __future__ import annotations

from typing import Any

from llmops_localcloud.cloudformation.partial import add_partial
from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client, fitting


def _version(place: Place, properties: Properties) -> Made:
    functions = client("lambda", place)
    made = functions.publish_version(**fitting(functions, "PublishVersion", properties))
    arn, number = made["FunctionArn"], made["Version"]
    arn = arn if arn.endswith(f":{number}") else f"{arn}:{number}"
    return Made(arn, {"FunctionArn": arn, "Version": number})


def _alias(place: Place, properties: Properties) -> Made:
    functions = client("lambda", place)
    given = fitting(functions, "CreateAlias", properties)
    return _made(functions.create_alias(**given), properties)


def _changed(place: Place, made: Made, properties: Properties) -> Made:
    functions = client("lambda", place)
    given = fitting(functions, "UpdateAlias", properties)
    return _made(functions.update_alias(**given), properties)


def _delete(place: Place, properties: Properties) -> None:
    name, function = properties["Name"], properties["FunctionName"]
    client("lambda", place).delete_alias(FunctionName=function, Name=name)


def _made(alias: dict[str, Any], properties: Properties) -> Made:
    return Made(alias["AliasArn"], {"AliasArn": alias["AliasArn"], "Name": properties["Name"]})


def _missing(properties: Properties) -> list[str]:
    return ["ProvisionedConcurrencyConfig"] if "ProvisionedConcurrencyConfig" in properties else []


add_type("AWS::Lambda::Version", _version)
add_type("AWS::Lambda::Alias", _alias, update=_changed, delete=_delete)
add_partial("AWS::Lambda::Version", _missing)
add_partial("AWS::Lambda::Alias", _missing)
