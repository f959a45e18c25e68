"""What CloudFormation makes of the types beside the service's own, and what becomes of a change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

CLUSTER = {
    "Group": {
        "Type": "AWS::RDS::DBClusterParameterGroup",
        "Properties": {
            "Family": "aurora-postgresql18",
            "Description": "d",
            "Parameters": {"rds.force_ssl": "1"},
        },
    },
    "Cluster": {
        "Type": "AWS::RDS::DBCluster",
        "Properties": {
            "Engine": "aurora-postgresql",
            "DatabaseName": "shop",
            "MasterUsername": "owner",
            "ManageMasterUserPassword": True,
            "DBClusterParameterGroupName": {"Ref": "Group"},
            "ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 2},
        },
    },
    "Writer": {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {
            "Engine": "aurora-postgresql",
            "DBInstanceClass": "db.serverless",
            "DBClusterIdentifier": {"Ref": "Cluster"},
        },
    },
}
MESSAGES = {
    "Dead": {"Type": "AWS::SQS::Queue"},
    "Queue": {
        "Type": "AWS::SQS::Queue",
        "Properties": {
            "QueueName": "work",
            "VisibilityTimeout": 60,
            "RedrivePolicy": {
                "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                "maxReceiveCount": 3,
            },
        },
    },
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "news"}},
    "Queued": {
        "Type": "AWS::SNS::Subscription",
        "Properties": {
            "TopicArn": {"Ref": "Topic"},
            "Protocol": "sqs",
            "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
            "RawMessageDelivery": True,
        },
    },
    "Called": {
        "Type": "AWS::SNS::Subscription",
        "Properties": {
            "TopicArn": {"Ref": "Topic"},
            "Protocol": "https",
            "Endpoint": "https://events.example.com/",
        },
    },
}


@pytest.fixture
def stack(cloud: Any, eventually: Any) -> Callable[..., dict[str, str]]:
    """Creates or updates a stack and gives its outputs."""
    api = cloud.client("cloudformation")

    def settle(name: str, resources: dict[str, Any], **outputs: Any) -> dict[str, str]:
        body = {
            "Resources": resources,
            "Outputs": {key: {"Value": value} for key, value in outputs.items()},
        }
        known = {each["StackName"] for each in api.describe_stacks()["Stacks"]}
        call = api.update_stack if name in known else api.create_stack
        call(StackName=name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"])

        def ended() -> Any:
            found = api.describe_stacks(StackName=name)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        found = eventually(ended, 30)
        assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), found
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    return settle


async def test_a_cluster_is_one_postgresql_for_its_writer_and_its_endpoint(
    stack: Any, cloud: Any, eventually: Any
) -> None:
    found = stack(
        "cluster",
        CLUSTER,
        Host={"Fn::GetAtt": ["Cluster", "Endpoint.Address"]},
        Port={"Fn::GetAtt": ["Cluster", "Endpoint.Port"]},
        Reader={"Fn::GetAtt": ["Cluster", "ReadEndpoint.Address"]},
        Secret={"Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]},
        Writer={"Fn::GetAtt": ["Writer", "Endpoint.Port"]},
    )
    assert found["Reader"] == found["Host"] == "127.0.0.1" and found["Writer"] == found["Port"]
    text = cloud.client("secretsmanager").get_secret_value(SecretId=found["Secret"])["SecretString"]
    connection = await asyncpg.connect(
        host=found["Host"], port=int(found["Port"]), user="owner",
        password=json.loads(text)["password"], database="shop",
    )  # fmt: skip
    await connection.close()
    api = cloud.client("cloudformation")
    api.delete_stack(StackName="cluster")
    eventually(lambda: not cloud.client("rds").describe_db_clusters()["DBClusters"], 30)
    with pytest.raises(OSError):
        await asyncpg.connect(host="127.0.0.1", port=int(found["Port"]), user="owner")


def test_a_topic_reaches_a_queue_and_calls_no_stranger_and_a_change_keeps_both(
    stack: Any, cloud: Any
) -> None:
    outputs = {"Url": {"Ref": "Queue"}, "Topic": {"Ref": "Topic"}}
    first = stack("messages", MESSAGES, **outputs)
    assert first["Url"].startswith(cloud.endpoint)
    changed = json.loads(json.dumps(MESSAGES))
    changed["Queue"]["Properties"]["VisibilityTimeout"] = 90
    changed["Topic"]["Properties"]["DisplayName"] = "News"
    assert stack("messages", changed, **outputs) == first
    sqs, sns = cloud.client("sqs"), cloud.client("sns")
    kept = sqs.get_queue_attributes(QueueUrl=first["Url"], AttributeNames=["All"])["Attributes"]
    assert kept["VisibilityTimeout"] == "90" and json.loads(kept["RedrivePolicy"])
    sns.publish(TopicArn=first["Topic"], Message="hello")
    [message] = sqs.receive_message(QueueUrl=first["Url"])["Messages"]
    assert message["Body"] == "hello"
    [subscribed] = sns.list_subscriptions_by_topic(TopicArn=first["Topic"])["Subscriptions"]
    assert subscribed["Protocol"] == "sqs"


def test_another_name_makes_another_queue(stack: Any) -> None:
    queue = {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "before"}}}
    assert stack("renamed", queue, Url={"Ref": "Q"})["Url"].endswith("/before")
    queue["Q"]["Properties"] = {"QueueName": "after"}
    assert stack("renamed", queue, Url={"Ref": "Q"})["Url"].endswith("/after")


def test_a_table_expires_its_items_and_a_key_keeps_its_arn(stack: Any, cloud: Any) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    resources = {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
                "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            },
        },
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {"KeyPolicy": policy, "EnableKeyRotation": True},
        },
    }
    outputs = {"Table": {"Ref": "Table"}, "Key": {"Fn::GetAtt": ["Key", "Arn"]}}
    found = stack("kept", resources, **outputs)
    dynamodb, kms = cloud.client("dynamodb"), cloud.client("kms")
    live = dynamodb.describe_time_to_live(TableName=found["Table"])["TimeToLiveDescription"]
    assert live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}
    assert kms.get_key_rotation_status(KeyId=found["Key"])["KeyRotationEnabled"] is True
    resources["Key"]["Properties"] = {"KeyPolicy": {**policy, "Id": "new"}}
    assert stack("kept", resources, **outputs) == found
    text = kms.get_key_policy(KeyId=found["Key"], PolicyName="default")["Policy"]
    assert json.loads(text)["Id"] == "new"


def test_what_nobody_emulates_has_attributes_that_lead_nowhere(stack: Any, cloud: Any) -> None:
    cache = {"Cache": {"Type": "AWS::ElastiCache::ServerlessCache", "Properties": {}}}
    found = stack(
        "stand-in",
        cache,
        Host={"Fn::GetAtt": ["Cache", "Endpoint.Address"]},
        Port={"Fn::GetAtt": ["Cache", "Endpoint.Port"]},
        Arn={"Fn::GetAtt": ["Cache", "ARN"]},
    )
    assert (found["Host"], found["Port"]) == ("127.0.0.1", "9")
    assert found["Arn"].startswith("arn:aws:elasticache:us-east-1:123456789012:")
