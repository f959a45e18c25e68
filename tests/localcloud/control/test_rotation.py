"""Secrets rotate by real functions: the project's own, from the bundle that AWS would get."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from botocore.exceptions import ClientError

from llmops_stacks.bundle import staged_rotation

DATABASE = "turns"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
FAILS = """
import json

def handler(event, context):
    print(json.dumps(event))
    raise OSError("no")
"""


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def bundle() -> bytes:
    with staged_rotation() as folder:
        return zipped(folder)


@pytest.fixture(scope="module")
def new_function(cloud: Any, bundle: bytes) -> Callable[..., str]:
    role = cloud.client("iam").create_role(
        RoleName="rotation", AssumeRolePolicyDocument=json.dumps(TRUST)
    )["Role"]["Arn"]

    def make(name: str, handler: str, variables: dict[str, str], code: bytes = bundle) -> str:
        arn: str = cloud.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role,
            Handler=handler,
            Timeout=60,
            Code={"ZipFile": code},
            Environment={"Variables": variables},
        )["FunctionArn"]
        return arn

    return make


@pytest.fixture(scope="module")
def tokens_function(new_function: Callable[..., str]) -> str:
    return new_function("rotate-tokens", "llmops_functions.rotate.tokens.handler", {})


def current(cloud: Any, arn: str, stage: str = "AWSCURRENT") -> Any:
    found = cloud.client("secretsmanager").get_secret_value(SecretId=arn, VersionStage=stage)
    return json.loads(found["SecretString"])


def described(cloud: Any, arn: str) -> dict[str, Any]:
    return dict(cloud.client("secretsmanager").describe_secret(SecretId=arn))


def new_secret(cloud: Any, name: str, value: object) -> str:
    made = cloud.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(value))
    return str(made["ARN"])


def rotate(cloud: Any, arn: str, function: str, **options: Any) -> str:
    return str(
        cloud.client("secretsmanager").rotate_secret(
            SecretId=arn,
            RotationLambdaARN=function,
            RotationRules={"AutomaticallyAfterDays": 30},
            **options,
        )["VersionId"]
    )


def test_a_secret_rotates_by_the_four_steps_of_its_function(
    cloud: Any, tokens_function: str, eventually: Any
) -> None:
    arn = new_secret(cloud, "tokens", {"current": "old", "previous": ""})
    version = rotate(cloud, arn, tokens_function)
    eventually(lambda: current(cloud, arn)["previous"] == "old")
    found = described(cloud, arn)
    assert "AWSCURRENT" in found["VersionIdsToStages"][version]
    assert found["RotationEnabled"] and found["RotationLambdaARN"] == tokens_function
    assert current(cloud, arn, "AWSPREVIOUS")["current"] == "old"
    eventually(lambda: described(cloud, arn).get("LastRotatedDate"))
    days = (
        described(cloud, arn)["NextRotationDate"] - described(cloud, arn)["LastRotatedDate"]
    ).days
    assert days in (29, 30)


def test_without_a_label_the_new_value_is_read(
    cloud: Any, tokens_function: str, eventually: Any
) -> None:
    arn = new_secret(cloud, "unlabelled", {"current": "old", "previous": ""})
    rotate(cloud, arn, tokens_function)
    eventually(lambda: current(cloud, arn)["previous"] == "old")
    plain = cloud.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    assert json.loads(plain) == current(cloud, arn)


def test_a_second_rotation_follows_the_first(
    cloud: Any, tokens_function: str, eventually: Any
) -> None:
    arn = new_secret(cloud, "twice", {"current": "old", "previous": ""})
    rotate(cloud, arn, tokens_function)
    eventually(lambda: current(cloud, arn)["previous"] == "old")
    first = current(cloud, arn)["current"]
    eventually(lambda: _idle(cloud, arn))
    cloud.client("secretsmanager").rotate_secret(SecretId=arn)
    eventually(lambda: current(cloud, arn)["previous"] == first)


def _idle(cloud: Any, arn: str) -> bool:
    """Whether the last step of the last rotation has been noted."""
    return "LastRotatedDate" in described(cloud, arn)


def test_set_up_without_rotating_the_current_value_is_tried_and_stays(
    cloud: Any, tokens_function: str, eventually: Any
) -> None:
    value = {"current": "old", "previous": ""}
    arn = new_secret(cloud, "tried", value)
    rotate(cloud, arn, tokens_function, RotateImmediately=False)
    eventually(lambda: len(described(cloud, arn)["VersionIdsToStages"]) == 1)
    assert current(cloud, arn) == value and described(cloud, arn)["RotationEnabled"]


def test_a_failed_rotation_leaves_the_value_and_is_taken_up_by_the_next(
    cloud: Any, new_function: Callable[..., str], make_zip: Any, eventually: Any
) -> None:
    broken = new_function("broken", "code.handler", {}, make_zip({"code.py": FAILS}))
    value = {"current": "old", "previous": ""}
    arn = new_secret(cloud, "failing", value)
    version = rotate(cloud, arn, broken)
    client = cloud.client("secretsmanager")
    eventually(lambda: _attempts(cloud) >= 3)
    assert current(cloud, arn) == value
    assert described(cloud, arn)["VersionIdsToStages"][version] == ["AWSPENDING"]
    eventually(
        lambda: (
            _refused(client, arn) == "A previous rotation isn't complete. "
            "That rotation will be reattempted."
        )
    )
    eventually(lambda: _attempts(cloud) >= 6)
    assert current(cloud, arn) == value


def _attempts(cloud: Any) -> int:
    """How often the broken function was asked to create a value, by its log."""
    try:
        events = cloud.client("logs").filter_log_events(
            logGroupName="/aws/lambda/broken", filterPattern='"createSecret"'
        )["events"]
    except ClientError:
        return 0
    return sum("createSecret" in event["message"] for event in events)


def _refused(client: Any, arn: str) -> str:
    try:
        client.rotate_secret(SecretId=arn)
    except ClientError as error:
        return str(error.response["Error"]["Message"])
    return ""


def test_a_secret_without_a_function_is_not_rotated(cloud: Any) -> None:
    arn = new_secret(cloud, "alone", {"current": "old"})
    with pytest.raises(ClientError, match="No Lambda rotation function ARN"):
        cloud.client("secretsmanager").rotate_secret(SecretId=arn)


@pytest.fixture(scope="module")
def instance(cloud: Any) -> Iterator[dict[str, Any]]:
    rds = cloud.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=DATABASE,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        DBName="handbook",
        MasterUsername="llmops",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
    )
    yield rds.describe_db_instances(DBInstanceIdentifier=DATABASE)["DBInstances"][0]


async def connect(instance: dict[str, Any], login: dict[str, Any]) -> Any:
    where = instance["Endpoint"]
    return await asyncpg.connect(
        host=where["Address"],
        port=where["Port"],
        user=login["username"],
        password=login["password"],
        database="handbook",
    )


async def test_a_stack_with_a_schedule_makes_the_databases_user(
    cloud: Any, instance: dict[str, Any], new_function: Callable[..., str], eventually: Any
) -> None:
    where = instance["Endpoint"]
    function = new_function(
        "rotate-database",
        "llmops_functions.rotate.database.handler",
        {
            "MASTER_SECRET_ARN": instance["MasterUserSecret"]["SecretArn"],
            "DATABASE_HOST": where["Address"],
            "DATABASE_PORT": str(where["Port"]),
            "DATABASE_NAME": "handbook",
        },
    )
    arn = new_secret(cloud, "user", {"username": "handbook_a", "password": "first-password"})
    template = {
        "Resources": {
            "Schedule": {
                "Type": "AWS::SecretsManager::RotationSchedule",
                "Properties": {
                    "SecretId": arn,
                    "RotationLambdaARN": function,
                    "RotationRules": {"AutomaticallyAfterDays": 30},
                },
            }
        }
    }
    stacks = cloud.client("cloudformation")
    stacks.create_stack(StackName="rotation", TemplateBody=json.dumps(template))
    eventually(lambda: current(cloud, arn)["username"] == "handbook_b")
    for stage in ("AWSCURRENT", "AWSPREVIOUS"):
        connection = await connect(instance, current(cloud, arn, stage))
        assert await connection.fetchval("SELECT current_user::text") == "handbook"
        await connection.close()
    stacks.delete_stack(StackName="rotation")
    eventually(lambda: not described(cloud, arn)["RotationEnabled"])
