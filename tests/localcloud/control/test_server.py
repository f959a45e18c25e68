from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def connection(cloud: Any) -> Iterator[http.client.HTTPConnection]:
    parts = urlsplit(cloud.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    yield connection
    connection.close()


def date_of(answer: dict[str, Any]) -> datetime:
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def test_the_date_of_an_answer_is_the_virtual_time(cloud: Any) -> None:
    sts = cloud.client("sts")
    real, before = time.monotonic(), date_of(sts.get_caller_identity())
    while time.monotonic() - real < 0.5:
        sts.get_caller_identity()
    passed = date_of(sts.get_caller_identity()) - before
    assert passed.total_seconds() / (time.monotonic() - real) == pytest.approx(60, rel=0.2)


def test_a_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    for _ in range(3):
        connection.request("GET", "/_llmops/health")
        first = connection.sock
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.version) == (200, 11)
        assert connection.sock is first and first is not None


def test_a_body_sent_after_100_continue_arrives(cloud: Any) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bodies")
    content = bytes(range(256)) * 4096
    s3.put_object(Bucket="bodies", Key="a b/ü", Body=content)
    assert s3.get_object(Bucket="bodies", Key="a b/ü")["Body"].read() == content
    assert s3.head_object(Bucket="bodies", Key="a b/ü")["ContentLength"] == len(content)


def test_a_chunked_body_arrives(cloud: Any, connection: http.client.HTTPConnection) -> None:
    cloud.client("s3").create_bucket(Bucket="chunks")
    connection.request(
        "PUT", "/chunks/k", body=iter([b"one ", b"two"]), encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )  # fmt: skip
    assert connection.getresponse().read() is not None
    answer = cloud.client("s3").get_object(Bucket="chunks", Key="k")
    assert answer["Body"].read() == b"one two"


def test_what_is_not_emulated_is_refused_by_name_and_not_retried(cloud: Any) -> None:
    with pytest.raises(ClientError) as refused:
        cloud.client("ecr").get_account_setting(name="BASIC_SCAN_TYPE_VERSION")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "get_account_setting" in str(refused.value)


def test_the_caller_is_the_account_and_may_assume_the_roles_of_the_cdk(cloud: Any) -> None:
    sts = cloud.client("sts")
    assert sts.get_caller_identity()["Account"] == "123456789012"
    role = "arn:aws:iam::123456789012:role/cdk-hnb659fds-deploy-role-123456789012-us-east-1"
    assert sts.assume_role(RoleArn=role, RoleSessionName="cdk")["Credentials"]["AccessKeyId"]


def test_the_account_is_bootstrapped_for_the_cdk(cloud: Any) -> None:
    parameter = cloud.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    assert int(parameter["Parameter"]["Value"]) >= 21
    cloud.client("s3").head_bucket(Bucket="cdk-hnb659fds-assets-123456789012-us-east-1")
