"""CloudWatch's API through boto3 and the AWS CLI, over HTTP."""

from __future__ import annotations

import http.client
import json
import urllib.parse
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DIMENSIONS = [{"Name": "release", "Value": "r1"}]


def fill(cloud: Any) -> None:
    """Minutes 0, 1 and 3 have requests; minute 1 has errors."""
    sums = {"SampleCount": 2, "Sum": 30, "Minimum": 10, "Maximum": 20}

    def at(minute: int) -> datetime:
        return NOON + timedelta(minutes=minute, seconds=9)

    data = [
        {"MetricName": name, "Dimensions": DIMENSIONS, "Timestamp": at(m)} | value
        for name, m, value in (
            ("Requests", 0, {"Value": 10.0}),
            ("Requests", 1, {"Values": [1.0, 2.0], "Counts": [4.0, 8.0]}),
            ("Requests", 3, {"StatisticValues": sums}),
            ("Errors", 1, {"Value": 5.0, "Unit": "Count"}),
        )
    ]  # fmt: skip
    cloud.client().put_metric_data(Namespace="app", MetricData=data)


def query(name: str, metric: str, stat: str = "Sum", **more: Any) -> dict[str, Any]:
    of = {"Namespace": "app", "MetricName": metric, "Dimensions": DIMENSIONS}
    return {"Id": name, "MetricStat": {"Metric": of, "Period": 60, "Stat": stat}} | more


def ask(cloud: Any, *queries: Any, **more: Any) -> dict[str, list[tuple[int, float]]]:
    answer = cloud.client().get_metric_data(
        MetricDataQueries=list(queries),
        StartTime=NOON + timedelta(seconds=17),
        EndTime=NOON + timedelta(minutes=5),
        **more,
    )
    return {
        r["Id"]: [
            (int((t - NOON).total_seconds()) // 60, v)
            for t, v in zip(r["Timestamps"], r["Values"], strict=True)
        ]
        for r in answer["MetricDataResults"]
    }


def test_metric_data_newest_first_without_empty_periods(cloud: Any) -> None:
    fill(cloud)
    assert ask(cloud, query("r", "Requests")) == {"r": [(3, 30.0), (1, 20.0), (0, 10.0)]}
    ascending = ask(cloud, query("r", "Requests", "SampleCount"), ScanBy="TimestampAscending")
    assert ascending == {"r": [(0, 1.0), (1, 12.0), (3, 2.0)]}
    assert ask(cloud, query("r", "Requests", "p50")) == {"r": [(1, 2.0), (0, 10.0)]}
    assert ask(cloud, query("r", "Nothing")) == {"r": []}


def test_expressions_over_queries_that_return_nothing_themselves(cloud: Any) -> None:
    fill(cloud)
    found = ask(
        cloud,
        {"Id": "share", "Expression": "100*(FILL(e,0)/r)", "Label": "errors, %"},
        query("e", "Errors", ReturnData=False),
        query("r", "Requests", ReturnData=False),
        ScanBy="TimestampAscending",
    )
    assert found == {"share": [(0, 0.0), (1, 25.0), (3, 0.0)]}


def test_a_query_that_cannot_be_answered_is_refused(cloud: Any) -> None:
    fill(cloud)
    with pytest.raises(ClientError, match=r"RATE.* is not supported"):
        ask(cloud, {"Id": "x", "Expression": "RATE(r)"}, query("r", "Requests"))
    with pytest.raises(ClientError, match="The statistic tm90 is not supported"):
        ask(cloud, query("r", "Requests", "tm90"))


def test_metric_statistics_with_percentiles(cloud: Any) -> None:
    fill(cloud)
    points = cloud.client().get_metric_statistics(
        Namespace="app",
        MetricName="Errors",
        Dimensions=DIMENSIONS,
        StartTime=NOON,
        EndTime=NOON + timedelta(minutes=5),
        Period=300,
        Statistics=["Average", "SampleCount"],
        ExtendedStatistics=["p99"],
    )
    assert points["Label"] == "Errors"
    assert points["Datapoints"] == [
        {
            "Timestamp": NOON,
            "Average": 5.0,
            "SampleCount": 1.0,
            "ExtendedStatistics": {"p99": 5.0},
            "Unit": "Count",
        }
    ]


def test_metrics_are_listed_by_dimension(cloud: Any) -> None:
    fill(cloud)
    aws = cloud.client()
    aws.put_metric_data(Namespace="other", MetricData=[{"MetricName": "m", "Value": 1}])
    listed = aws.list_metrics(Namespace="app", Dimensions=[{"Name": "release"}])["Metrics"]
    assert sorted(m["MetricName"] for m in listed) == ["Errors", "Requests"]
    assert listed[0]["Dimensions"] == DIMENSIONS
    wrong = [{"Name": "release", "Value": "r2"}]
    assert aws.list_metrics(Namespace="app", Dimensions=wrong)["Metrics"] == []
    assert len(aws.list_metrics()["Metrics"]) == 3


def test_a_datum_without_a_time_is_now_in_the_cloud(cloud: Any, clock: Any) -> None:
    clock.move(minutes=2)
    data = [{"MetricName": "Requests", "Dimensions": DIMENSIONS, "Value": 3.0}]
    cloud.client().put_metric_data(Namespace="app", MetricData=data)
    assert ask(cloud, query("r", "Requests")) == {"r": [(2, 3.0)]}


def test_the_aws_cli_puts_reads_and_lists(cloud: Any) -> None:
    cloud.cli(
        "cloudwatch", "put-metric-data", "--namespace", "app", "--metric-name", "Requests",
        "--dimensions", "release=r1", "--value", "4", "--timestamp", NOON.isoformat(),
    )  # fmt: skip
    window = [
        "--start-time", NOON.isoformat(), "--end-time", (NOON + timedelta(minutes=1)).isoformat(),
    ]  # fmt: skip
    queries = json.dumps([query("r", "Requests")])
    data = cloud.cli("cloudwatch", "get-metric-data", "--metric-data-queries", queries, *window)
    assert data["MetricDataResults"][0]["Values"] == [4.0]
    statistics = cloud.cli(
        "cloudwatch", "get-metric-statistics", "--namespace", "app", "--metric-name", "Requests",
        "--dimensions", "Name=release,Value=r1", "--period", "60", "--statistics", "Sum", *window,
    )  # fmt: skip
    assert statistics["Datapoints"][0]["Sum"] == 4.0
    assert cloud.cli("cloudwatch", "list-metrics")["Metrics"][0]["MetricName"] == "Requests"


def test_clients_that_speak_the_query_protocol_are_understood(cloud: Any) -> None:
    fill(cloud)
    form = {
        "Action": "GetMetricStatistics",
        "Version": "2010-08-01",
        "Namespace": "app",
        "MetricName": "Requests",
        "Dimensions.member.1.Name": "release",
        "Dimensions.member.1.Value": "r1",
        "StartTime": NOON.isoformat(),
        "EndTime": (NOON + timedelta(minutes=2)).isoformat(),
        "Period": "60",
        "Statistics.member.1": "Sum",
    }
    host = urllib.parse.urlsplit(cloud.endpoint).netloc
    connection = http.client.HTTPConnection(host)
    signed = "AWS4-HMAC-SHA256 Credential=k/20260301/us-east-1/monitoring/aws4_request, Signature=0"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": signed}
    connection.request("POST", "/", urllib.parse.urlencode(form), headers)
    answer = connection.getresponse()
    tree = ET.fromstring(answer.read())
    connection.close()
    assert answer.status == 200
    sums = [e.text for e in tree.iter() if e.tag.endswith("Sum")]
    assert [float(s or 0) for s in sums] == [10.0, 20.0]
