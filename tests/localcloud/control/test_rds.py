from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from llmops_localcloud.processes import port_is_free

NAME = "orders"


@pytest.fixture(scope="module")
def instance(cloud: Any) -> Iterator[dict[str, Any]]:
    rds = cloud.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=NAME,
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        DBName="shop",
        MasterUsername="owner",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
    )
    yield rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]


def credentials(cloud: Any, instance: dict[str, Any]) -> dict[str, str]:
    secret = cloud.client("secretsmanager").get_secret_value(
        SecretId=instance["MasterUserSecret"]["SecretArn"]
    )
    found: dict[str, str] = json.loads(secret["SecretString"])
    return found


async def connect(instance: dict[str, Any], user: str, password: str, database: str) -> Any:
    where = instance["Endpoint"]
    return await asyncpg.connect(
        host=where["Address"], port=where["Port"], user=user, password=password, database=database
    )


async def test_an_instance_is_a_postgresql_its_managed_secret_opens(
    cloud: Any, instance: dict[str, Any]
) -> None:
    assert instance["DBInstanceStatus"] == "available"
    secret = credentials(cloud, instance)
    assert set(secret) == {"username", "password"} and secret["username"] == "owner"
    connection = await connect(instance, secret["username"], secret["password"], "shop")
    try:
        await connection.execute("CREATE TABLE books (title text)")
        await connection.execute("INSERT INTO books VALUES ('On Rollbacks')")
        assert await connection.fetchval("SELECT title FROM books") == "On Rollbacks"
        assert (await connection.fetchval("SHOW server_version")).startswith("18")
    finally:
        await connection.close()


async def test_a_wrong_password_is_refused(instance: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(instance, "owner", "wrong", "shop")


async def test_the_superuser_cannot_log_in(instance: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(instance, "rdsadmin", "", "shop")


async def test_a_new_master_password_is_the_server_s(cloud: Any) -> None:
    rds = cloud.client("rds")
    made = rds.create_db_instance(
        DBInstanceIdentifier="mine", DBInstanceClass="db.t4g.micro", Engine="postgres",
        MasterUsername="me", MasterUserPassword="first-password", AllocatedStorage=20,
    )["DBInstance"]  # fmt: skip
    rds.modify_db_instance(DBInstanceIdentifier="mine", MasterUserPassword="second-'password")
    connection = await connect(made, "me", "second-'password", "postgres")
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(made, "me", "first-password", "postgres")


def test_a_second_instance_starts_within_three_seconds_and_is_gone_when_deleted(
    cloud: Any, instance: dict[str, Any]
) -> None:
    rds = cloud.client("rds")
    start = time.perf_counter()
    made = rds.create_db_instance(
        DBInstanceIdentifier="brief", DBInstanceClass="db.t4g.micro", Engine="postgres",
        MasterUsername="me", MasterUserPassword="a-password", AllocatedStorage=20,
    )["DBInstance"]  # fmt: skip
    assert time.perf_counter() - start < 3
    assert made["Endpoint"]["Port"] != instance["Endpoint"]["Port"]
    rds.delete_db_instance(DBInstanceIdentifier="brief", SkipFinalSnapshot=True)
    assert port_is_free(made["Endpoint"]["Port"])
