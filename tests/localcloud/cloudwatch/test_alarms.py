"""Alarms on the cloud's clock, through the API, CloudFormation and the AWS CLI."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

ALARM: dict[str, Any] = {
    "AlarmName": "latency",
    "Namespace": "app",
    "MetricName": "Latency",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 2,
    "DatapointsToAlarm": 2,
    "Threshold": 5.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def minutes(cloud: Any, clock: Any, *values: float | None, metric: str = "Latency") -> None:
    """Let one minute pass per value (None: nothing is reported), and evaluate after each."""
    for value in values:
        if value is not None:
            at = clock.now() + timedelta(seconds=30)
            cloud.watch.put("app", metric, {}, at, [value])
        clock.move(minutes=1)
        clock.move(seconds=20)
        cloud.evaluate()
        clock.move(seconds=-20)


def state(cloud: Any, name: str = "latency") -> dict[str, Any]:
    found: dict[str, Any] = cloud.client().describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    return found


def test_a_new_alarm_has_insufficient_data(cloud: Any, clock: Any) -> None:
    cloud.client().put_metric_alarm(**ALARM)
    found = state(cloud)
    assert found["StateValue"] == "INSUFFICIENT_DATA"
    assert found["StateReason"] == "Unchecked: Initial alarm creation"
    assert found["StateUpdatedTimestamp"] == clock.now()
    assert found["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:latency"


def test_an_alarm_goes_to_ok_to_alarm_and_back(cloud: Any, clock: Any) -> None:
    cloud.client().put_metric_alarm(**ALARM)
    minutes(cloud, clock, 1.0, 1.0)
    assert state(cloud)["StateValue"] == "OK"
    minutes(cloud, clock, 9.0)
    assert state(cloud)["StateValue"] == "OK"
    minutes(cloud, clock, 7.0)
    fired = state(cloud)
    assert fired["StateValue"] == "ALARM"
    assert "2 out of the last 2 datapoints [7.0 (01/03/26 12:03:00), 9.0" in fired["StateReason"]
    assert "greater than the threshold (5.0)" in fired["StateReason"]
    assert json.loads(fired["StateReasonData"])["recentDatapoints"] == [7.0, 9.0]
    assert fired["StateUpdatedTimestamp"] == clock.now() + timedelta(seconds=20)
    assert cloud.watch.alarms.states(["latency", "unknown"]) == {"latency": "ALARM"}
    minutes(cloud, clock, 9.0)
    assert state(cloud)["StateUpdatedTimestamp"] == fired["StateUpdatedTimestamp"]
    minutes(cloud, clock, 1.0)
    assert state(cloud)["StateValue"] == "OK"


def test_a_metric_that_falls_silent(cloud: Any, clock: Any) -> None:
    cloud.client().put_metric_alarm(**ALARM)
    minutes(cloud, clock, 1.0, 1.0, None, None, None, None)
    assert state(cloud)["StateValue"] == "INSUFFICIENT_DATA"
    cloud.client().put_metric_alarm(**ALARM | {"TreatMissingData": "breaching"})
    assert state(cloud)["StateValue"] == "INSUFFICIENT_DATA"
    minutes(cloud, clock, None)
    assert state(cloud)["StateValue"] == "ALARM"


def test_percentiles_and_metric_math(cloud: Any, clock: Any) -> None:
    one = {"EvaluationPeriods": 1, "DatapointsToAlarm": 1}
    p95 = {k: v for k, v in ALARM.items() if k != "Statistic"} | one | {"ExtendedStatistic": "p95"}
    cloud.client().put_metric_alarm(**p95)
    ratio = {
        "AlarmName": "share",
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Metrics": [
            {"Id": "share", "Expression": "100*(FILL(e,0)/r)", "Label": "%"},
            _metric("e", "Errors"),
            _metric("r", "Requests"),
        ],
    }
    cloud.client().put_metric_alarm(**ratio)
    cloud.watch.put("app", "Requests", {}, clock.now(), [1.0] * 100)
    cloud.watch.put("app", "Errors", {}, clock.now(), [1.0] * 6)
    cloud.watch.put("app", "Latency", {}, clock.now(), [1.0] * 94 + [9.0] * 6)
    minutes(cloud, clock, None)
    assert (state(cloud)["StateValue"], state(cloud, "share")["StateValue"]) == ("ALARM", "ALARM")
    assert "[6.0 (" in state(cloud, "share")["StateReason"]
    minutes(cloud, clock, None, None, None)
    assert state(cloud, "share")["StateValue"] == "OK"


def _metric(name: str, metric: str) -> dict[str, Any]:
    of = {"Namespace": "app", "MetricName": metric, "Dimensions": []}
    return {
        "Id": name,
        "MetricStat": {"Metric": of, "Period": 60, "Stat": "Sum"},
        "ReturnData": False,
    }


def test_an_alarm_that_cannot_be_evaluated_is_refused_and_not_kept(cloud: Any) -> None:
    broken = {
        k: v
        for k, v in ALARM.items()
        if k not in ("Statistic", "Namespace", "MetricName", "Period")
    }
    broken["Metrics"] = [{"Id": "x", "Expression": "RATE(r)"}, _metric("r", "Requests")]
    with pytest.raises(ClientError, match="RATE"):
        cloud.client().put_metric_alarm(**broken)
    assert cloud.client().describe_alarms()["MetricAlarms"] == []


def test_a_state_set_by_hand_lasts_until_the_next_evaluation_and_is_in_the_history(
    cloud: Any, clock: Any
) -> None:
    aws = cloud.client()
    aws.put_metric_alarm(**ALARM)
    minutes(cloud, clock, 1.0, 1.0)
    cloud.cli(
        "cloudwatch", "set-alarm-state", "--alarm-name", "latency",
        "--state-value", "ALARM", "--state-reason", "drill",
    )  # fmt: skip
    shown = cloud.cli("cloudwatch", "describe-alarms", "--alarm-names", "latency")
    assert shown["MetricAlarms"][0]["StateReason"] == "drill"
    minutes(cloud, clock, 1.0)
    assert state(cloud)["StateValue"] == "OK"
    history = aws.describe_alarm_history(AlarmName="latency", HistoryItemType="StateUpdate")
    assert [item["HistorySummary"] for item in history["AlarmHistoryItems"]] == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]
    assert cloud.cli("cloudwatch", "describe-alarm-history", "--alarm-name", "latency")
    aws.delete_alarms(AlarmNames=["latency"])
    assert cloud.watch.alarms.states(["latency"]) == {}


def test_an_alarm_publishes_to_its_topic(cloud: Any, clock: Any) -> None:
    topic = cloud.client("sns").create_topic(Name="alarms")["TopicArn"]
    queue = cloud.client("sqs").create_queue(QueueName="alarms")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:alarms"
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    one = {"EvaluationPeriods": 1, "DatapointsToAlarm": 1}
    cloud.client().put_metric_alarm(**ALARM | one | {"AlarmActions": [topic]})
    minutes(cloud, clock, 9.0)
    message = cloud.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]
    body = json.loads(json.loads(message["Body"])["Message"])
    assert (body["AlarmName"], body["NewStateValue"]) == ("latency", "ALARM")
    assert body["OldStateValue"] == "INSUFFICIENT_DATA"


def test_a_stack_creates_changes_and_deletes_its_alarm(cloud: Any, clock: Any) -> None:
    def body(threshold: float) -> str:
        properties = ALARM | {
            "Threshold": threshold,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "TreatMissingData": "notBreaching",
        }
        alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
        unnamed = {k: v for k, v in properties.items() if k != "AlarmName"}
        other = {"Type": "AWS::CloudWatch::Alarm", "Properties": unnamed}
        outputs = {
            "Name": {"Value": {"Ref": "Alarm"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Alarm", "Arn"]}},
            "Other": {"Value": {"Ref": "Other"}},
        }
        return json.dumps({"Resources": {"Alarm": alarm, "Other": other}, "Outputs": outputs})

    formation = cloud.client("cloudformation")
    formation.create_stack(StackName="alarms", TemplateBody=body(5))
    stack = formation.describe_stacks(StackName="alarms")["Stacks"][0]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
    assert outputs["Name"] == "latency"
    assert outputs["Arn"].endswith(":alarm:latency")
    assert outputs["Other"].startswith("alarms-Other-")
    minutes(cloud, clock, 7.0)
    assert state(cloud)["StateValue"] == "ALARM"
    formation.update_stack(StackName="alarms", TemplateBody=body(8))
    assert state(cloud)["Threshold"] == 8.0
    assert len(cloud.client().describe_alarms()["MetricAlarms"]) == 2
    minutes(cloud, clock, 7.0)
    assert state(cloud)["StateValue"] == "OK"
    formation.delete_stack(StackName="alarms")
    assert cloud.client().describe_alarms()["MetricAlarms"] == []
