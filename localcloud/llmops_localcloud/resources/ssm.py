"""AWS::SSM::Parameter: moto expects the tags as a list, CloudFormation has them as a map."""

from __future__ import annotations

from typing import Any

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client, fitting


def _parameter(place: Place, properties: Properties) -> Made:
    ssm = client("ssm", place)
    tags = [{"Key": key, "Value": value} for key, value in properties.get("Tags", {}).items()]
    ssm.put_parameter(**{**_given(ssm, properties), "Name": place.name, "Tags": tags})
    return _made(place.name, properties)


def _changed(place: Place, made: Made, properties: Properties) -> Made:
    ssm = client("ssm", place)
    name = made.physical_resource_id
    ssm.put_parameter(**{**_given(ssm, properties), "Name": name, "Overwrite": True})
    return _made(name, properties)


def _delete(place: Place, _: Properties) -> None:
    client("ssm", place).delete_parameter(Name=place.name)


def _given(ssm: Any, properties: Properties) -> dict[str, Any]:
    given = fitting(ssm, "PutParameter", {k: v for k, v in properties.items() if k != "Tags"})
    return {key: value for key, value in given.items() if key != "Name"}


def _made(name: str, properties: Properties) -> Made:
    return Made(name, {"Type": properties["Type"], "Value": properties["Value"]})


add_type("AWS::SSM::Parameter", _parameter, update=_changed, delete=_delete, name_property="Name")
