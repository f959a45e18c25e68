"""What `cdk bootstrap` would have made in the account, under the CDK's default qualifier."""

from __future__ import annotations

import json

from llmops_localcloud.resources.base import Place
from llmops_localcloud.resources.client import client

QUALIFIER = "hnb659fds"
VERSION = "30"
"""A bootstrap version above what any asset of the CDK 2.x asks for."""
ROLES = ("deploy", "file-publishing", "image-publishing", "lookup", "cfn-exec")


def bootstrap(account: str, region: str) -> None:
    """Make the version parameter, the bucket and repository of assets, and the roles."""
    place = Place("bootstrap", account, region)
    tail = f"{account}-{region}"
    client("ssm", place).put_parameter(
        Name=f"/cdk-bootstrap/{QUALIFIER}/version", Value=VERSION, Type="String"
    )
    where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client("s3", place).create_bucket(
        Bucket=f"cdk-{QUALIFIER}-assets-{tail}", **({} if region == "us-east-1" else where)
    )
    client("ecr", place).create_repository(
        repositoryName=f"cdk-{QUALIFIER}-container-assets-{tail}"
    )
    for purpose in ROLES:
        client("iam", place).create_role(
            RoleName=f"cdk-{QUALIFIER}-{purpose}-role-{tail}",
            AssumeRolePolicyDocument=json.dumps(_trust(account)),
        )


def _trust(account: str) -> dict[str, object]:
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
