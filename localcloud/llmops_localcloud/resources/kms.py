"""AWS::KMS::Key: moto makes it anew, under another ARN, where AWS changes its policy."""

from __future__ import annotations

import json

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client

LEAST_DAYS = 7
"""Before which KMS deletes no key."""


def _key(place: Place, properties: Properties) -> Made:
    tags = [
        {"TagKey": tag["Key"], "TagValue": str(tag["Value"])} for tag in properties.get("Tags", [])
    ]
    metadata = client("kms", place).create_key(
        Description=properties.get("Description", ""), Tags=tags
    )["KeyMetadata"]
    made = Made(metadata["KeyId"], {"Arn": metadata["Arn"], "KeyId": metadata["KeyId"]})
    return _changed(place, made, properties)


def _changed(place: Place, made: Made, properties: Properties) -> Made:
    kms, key = client("kms", place), made.physical_resource_id
    if "KeyPolicy" in properties:
        policy = json.dumps(properties["KeyPolicy"])
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    kms.update_key_description(KeyId=key, Description=properties.get("Description", ""))
    rotates = str(properties.get("EnableKeyRotation", False)).lower() == "true"
    (kms.enable_key_rotation if rotates else kms.disable_key_rotation)(KeyId=key)
    return made


def _delete(place: Place, _: Properties) -> None:
    client("kms", place).schedule_key_deletion(KeyId=place.name, PendingWindowInDays=LEAST_DAYS)


add_type("AWS::KMS::Key", _key, update=_changed, delete=_delete)
