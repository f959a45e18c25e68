"""AWS::S3::Bucket and AWS::S3::BucketPolicy.

moto makes a bucket and forgets lifecycle, ownership, public access block and the rest of what the
template says of it; here they go through the calls that S3's own API has for them.
"""

from __future__ import annotations

import json
from typing import Any

from moto.s3.models import s3_backends

from llmops_localcloud.resources.base import Made, Place, Properties, add_type
from llmops_localcloud.resources.client import client


def _bucket(place: Place, properties: Properties) -> Made:
    s3 = client("s3", place)
    name = place.name.lower()
    where = {} if place.region == "us-east-1" else {"LocationConstraint": place.region}
    s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
    _configure(s3, name, properties)
    domain = f"{name}.s3.amazonaws.com"
    return Made(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": domain,
            "RegionalDomainName": f"{name}.s3.{place.region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{place.region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{place.region}.amazonaws.com",
        },
    )


def _changed_bucket(place: Place, made: Made, properties: Properties) -> Made:
    _configure(client("s3", place), made.physical_resource_id, properties)
    return made


def _delete_bucket(place: Place, _: Properties) -> None:
    client("s3", place).delete_bucket(Bucket=place.name)


def _configure(s3: Any, name: str, properties: Properties) -> None:
    if "VersioningConfiguration" in properties:
        s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"]
        )
    if "BucketEncryption" in properties:
        s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=_encryption(properties)
        )
    if "PublicAccessBlockConfiguration" in properties:
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"],
        )
    if "OwnershipControls" in properties:
        s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls=properties["OwnershipControls"]
        )
    if "Tags" in properties:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": properties["Tags"]})
    if "LifecycleConfiguration" in properties:
        rules = [_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _encryption(properties: Properties) -> dict[str, Any]:
    """CloudFormation's spelling to S3's."""
    rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    return {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": dict(rule["ServerSideEncryptionByDefault"]),
                "BucketKeyEnabled": bool(rule.get("BucketKeyEnabled", False)),
            }
            for rule in rules
        ]
    }


def _rule(rule: Properties) -> dict[str, Any]:
    """CloudFormation's spelling of a lifecycle rule to S3's."""
    given = {
        "ID": rule.get("Id"),
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
        "AbortIncompleteMultipartUpload": rule.get("AbortIncompleteMultipartUpload"),
    }
    if "Transitions" in rule:
        given["Transitions"] = [
            {"StorageClass": each["StorageClass"], "Days": int(each["TransitionInDays"])}
            for each in rule["Transitions"]
        ]
    if "ExpirationInDays" in rule:
        given["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    noncurrent = rule.get("NoncurrentVersionExpiration")
    if noncurrent is not None:
        given["NoncurrentVersionExpiration"] = {
            key: int(value) for key, value in noncurrent.items()
        }
    return {key: value for key, value in given.items() if value is not None}


def _policy(place: Place, properties: Properties) -> Made:
    _put_policy(place, properties)
    return Made(place.name)


def _changed_policy(place: Place, made: Made, properties: Properties) -> Made:
    _put_policy(place, properties)
    return made


def _put_policy(place: Place, properties: Properties) -> None:
    document = json.dumps(properties["PolicyDocument"])
    s3_backends[place.account]["aws"].put_bucket_policy(properties["Bucket"], document.encode())


def _delete_policy(place: Place, properties: Properties) -> None:
    s3_backends[place.account]["aws"].delete_bucket_policy(properties["Bucket"])


add_type(
    "AWS::S3::Bucket",
    _bucket,
    update=_changed_bucket,
    delete=_delete_bucket,
    name_property="BucketName",
)
add_type("AWS::S3::BucketPolicy", _policy, update=_changed_policy, delete=_delete_policy)
