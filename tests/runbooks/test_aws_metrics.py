"""Reading from CloudWatch how much a release served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from llmops_runbooks.aws.metrics import CloudWatchMetrics
from llmops_runbooks.errors import CloudError

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ASKED: dict[str, Any] = {
    "service": "handbook",
    "environment": "local",
    "release": "1.0.0",
    "start": START,
    "end": START + timedelta(minutes=10),
}


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="us-east-1")


class Scripted:
    """A CloudWatch with these pages, or this error."""

    def __init__(self, *pages: Any) -> None:
        self.pages = iter(pages)

    def get_metric_data(self, **_: Any) -> Any:
        page = next(self.pages)
        if isinstance(page, Exception):
            raise page
        return page


def result(key: str, value: float, status: str = "Complete") -> dict[str, Any]:
    return {"Id": key, "Timestamps": [START], "Values": [value], "StatusCode": status}


def test_sums_are_read_per_minute_and_empty_minutes_left_out(cloudwatch: Any) -> None:
    for minute, requests in ((0, 90.0), (2, 110.0)):
        cloudwatch.put_metric_data(
            Namespace="llmops",
            MetricData=[
                {
                    "MetricName": "Requests",
                    "Dimensions": [
                        {"Name": "service", "Value": "handbook"},
                        {"Name": "environment", "Value": "local"},
                        {"Name": "release", "Value": "1.0.0"},
                    ],
                    "Timestamp": START + timedelta(minutes=minute, seconds=5),
                    "Value": requests,
                }
            ],
        )
    points = CloudWatchMetrics(cloudwatch, "llmops").series(**ASKED)
    assert [(point["start"][14:16], point["requests"]) for point in points] == [
        ("00", 90),
        ("02", 110),
    ]


def test_every_page_adds_to_the_same_series() -> None:
    later = {**result("requests", 7.0), "Timestamps": [START + timedelta(minutes=1)]}
    client = Scripted(
        {"MetricDataResults": [result("requests", 9.0, "PartialData")], "NextToken": "1"},
        {"MetricDataResults": [later]},
    )
    points = CloudWatchMetrics(client, "llmops").series(**ASKED)
    assert [point["requests"] for point in points] == [9, 7]


def test_partial_data_and_refusals_are_errors_with_a_sentence() -> None:
    partial = Scripted({"MetricDataResults": [result("requests", 9.0, "InternalError")]})
    with pytest.raises(CloudError, match="InternalError"):
        CloudWatchMetrics(partial, "llmops").series(**ASKED)
    refused = Scripted(ClientError({"Error": {"Code": "AccessDenied"}}, "GetMetricData"))
    with pytest.raises(CloudError, match="AccessDenied"):
        CloudWatchMetrics(refused, "llmops").series(**ASKED)


def test_an_empty_stretch_asks_nothing() -> None:
    assert CloudWatchMetrics(Scripted(), "llmops").series(**{**ASKED, "end": START}) == []
