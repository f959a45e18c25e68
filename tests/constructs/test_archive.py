"""The archive of telemetry."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template
from policies import findings

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.archive import TelemetryArchive
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
STREAM = "AWS::KinesisFirehose::DeliveryStream"


def archived(stack: ExplicitStack, **arguments: Any) -> TelemetryArchive:
    archive = TelemetryArchive(stack, "Archive", prefix="handbook", **arguments)
    group = logs.LogGroup.from_log_group_name(stack, "Service", "/llmops/handbook/service")
    archive.archive(group, "service")
    return archive


def production_like(stack: ExplicitStack) -> ExplicitStack:
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    access = AccessLogs(stack, "AccessLogs")
    archived(stack, deep_days=365, encryption_key=key, access_log_bucket=access.bucket)
    return stack


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production_like(new_stack()))


def allowed(template: Template, role: str) -> dict[str, Any]:
    """Resource by action, of the role whose logical id begins so."""
    return {
        action: statement["Resource"]
        for name, policy in template.find_resources("AWS::IAM::Policy").items()
        if name.startswith(role)
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    archived(stack)
    snapshot(synthesized(stack), "archive")


def test_objects_move_to_cheaper_classes_and_go_after_two_years(template: Template) -> None:
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "LifecycleConfiguration": {
                "Rules": [
                    Match.object_like(
                        {
                            "ExpirationInDays": 730,
                            "Transitions": [
                                {"StorageClass": "STANDARD_IA", "TransitionInDays": 30},
                                {"StorageClass": "GLACIER_IR", "TransitionInDays": 90},
                                {"StorageClass": "DEEP_ARCHIVE", "TransitionInDays": 365},
                            ],
                        }
                    )
                ]
            }
        },
    )


def test_each_message_becomes_one_gzipped_line(template: Template) -> None:
    template.has_resource_properties(
        STREAM,
        {
            "ExtendedS3DestinationConfiguration": Match.object_like(
                {
                    "CompressionFormat": "GZIP",
                    "Prefix": "service/!{timestamp:yyyy/MM/dd}/",
                    "ProcessingConfiguration": {
                        "Enabled": True,
                        "Processors": [
                            Match.object_like({"Type": "Decompression"}),
                            {
                                "Type": "CloudWatchLogProcessing",
                                "Parameters": [
                                    {
                                        "ParameterName": "DataMessageExtraction",
                                        "ParameterValue": "true",
                                    }
                                ],
                            },
                        ],
                    },
                }
            )
        },
    )


def test_one_key_encrypts_bucket_stream_and_log(template: Template) -> None:
    key = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}
    template.has_resource_properties(
        STREAM,
        {
            "DeliveryStreamEncryptionConfigurationInput": {
                "KeyType": "CUSTOMER_MANAGED_CMK",
                "KeyARN": key,
            }
        },
    )
    template.has_resource_properties("AWS::Logs::LogGroup", {"KmsKeyId": key})


def test_the_log_group_is_subscribed_with_a_role_that_may_put_records_only(
    template: Template,
) -> None:
    template.has_resource_properties(
        "AWS::Logs::SubscriptionFilter",
        {
            "LogGroupName": "/llmops/handbook/service",
            "DestinationArn": {"Fn::GetAtt": [Match.string_like_regexp("stream"), "Arn"]},
        },
    )
    granted = allowed(template, "ArchiveSubscriptionRole")
    assert set(granted) == {"firehose:PutRecord", "firehose:PutRecordBatch"}


def test_firehose_writes_to_the_bucket_and_its_own_log_only(template: Template) -> None:
    granted = allowed(template, "ArchiveDeliveryRole")
    assert {action for action in granted if "s3:" in action} == {
        "s3:AbortMultipartUpload",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:PutObject",
    }
    assert set(granted) - {action for action in granted if "s3:" in action} == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:PutLogEvents",
    }
    assert "*" not in granted.values()


def test_a_subscription_waits_until_its_role_may_deliver(template: Template) -> None:
    (subscription,) = template.find_resources("AWS::Logs::SubscriptionFilter").values()
    assert [name.startswith("ArchiveSubscriptionRole") for name in subscription["DependsOn"]] == [
        True
    ]


def test_an_existing_bucket_takes_the_archive(new_stack: Stacks, synthesized: Synthesized) -> None:
    stack = new_stack()
    archived(stack, existing_bucket=s3.Bucket.from_bucket_name(stack, "Theirs", "telemetry"))
    template = synthesized(stack)
    template.resource_count_is("AWS::S3::Bucket", 0)
    template.has_resource_properties(
        STREAM,
        {
            "ExtendedS3DestinationConfiguration": Match.object_like(
                {"BucketARN": "arn:aws:s3:::telemetry"}
            )
        },
    )


def test_a_bucket_of_another_stack_takes_the_archive_too(new_stack: Stacks) -> None:
    """The wildcard of the delivery role is then written as the export the bucket comes by."""
    data = production_like(new_stack("data"))
    app = data.node.root
    assert isinstance(app, cdk.App)
    stack = ExplicitStack(
        app,
        "service",
        account="123456789012",
        region="us-east-1",
        availability_zones=("us-east-1a", "us-east-1b"),
    )
    theirs = data.node.find_child("Archive")
    assert isinstance(theirs, TelemetryArchive)
    key = EncryptionKey(stack, "Key", alias="handbook-service").key
    archived(stack, existing_bucket=theirs.bucket, encryption_key=key)
    assert findings(stack) == []


def test_every_mistake_is_reported(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct) as caught:
        TelemetryArchive(
            stack,
            "Archive",
            prefix="handbook",
            infrequent_days=10,
            instant_days=30,
            deep_days=20,
            expiry_days=25,
        )
    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize("what", ["service", "errors", "Service"])
def test_a_name_that_is_taken_or_no_key_is_refused(new_stack: Stacks, what: str) -> None:
    archive = archived(new_stack())
    with pytest.raises(InvalidConstruct):
        archive.archive(archive.log_group, what)


def test_the_policy_packs_find_nothing(new_stack: Stacks) -> None:
    assert findings(production_like(new_stack())) == []
