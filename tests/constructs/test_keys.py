"""The key, the log groups, and the bucket of access logs."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template
from policies import findings
from resources_made import resources_made

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.keys import EncryptionKey, allow_key

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def populated(stack: ExplicitStack) -> ExplicitStack:
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    logs = AccessLogs(stack, "AccessLogs")
    logged = s3.Bucket(stack, "Logged", versioned=True)
    logs.log(logged)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
    allow_key(role, key, "s3")
    return stack


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(populated(new_stack()))


def statements(template: Template, kind: str, document: str) -> dict[str, Any]:
    """The statements of the one policy of that kind, by their Sid."""
    (resource,) = template.find_resources(kind).values()
    found = resource["Properties"][document]["Statement"]
    return {each["Sid"]: each for each in found if "Sid" in each}


def test_the_smallest_forms_are_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    EncryptionKey(stack, "Key", alias="handbook")
    AccessLogs(stack, "AccessLogs")
    snapshot(synthesized(stack), "keys")


def test_the_key_rotates_and_outlives_its_stack(template: Template) -> None:
    template.has_resource(
        "AWS::KMS::Key",
        {"DeletionPolicy": "Retain", "Properties": Match.object_like({"EnableKeyRotation": True})},
    )
    template.has_resource_properties("AWS::KMS::Alias", {"AliasName": "alias/handbook-prod"})


def test_log_groups_alarms_and_budgets_of_the_account_may_use_the_key(template: Template) -> None:
    found = statements(template, "AWS::KMS::Key", "KeyPolicy")
    account = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert {sid: each["Condition"] for sid, each in found.items()} == {
        "Logs": {
            "ArnLike": {
                "kms:EncryptionContext:aws:logs:arn": (
                    "arn:aws:logs:us-east-1:123456789012:log-group:*"
                )
            }
        },
        "Alarms": account,
        "Budgets": account,
    }
    assert [action for each in found.values() for action in each["Action"] if "*" in action] == []


def test_a_role_uses_the_key_through_the_service_it_was_allowed_for(template: Template) -> None:
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": [
                        Match.object_like(
                            {
                                "Action": "kms:Decrypt",
                                "Condition": {
                                    "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
                                },
                            }
                        )
                    ]
                }
            )
        },
    )


def test_balancers_and_buckets_of_the_account_may_write_their_logs(template: Template) -> None:
    found = statements(template, "AWS::S3::BucketPolicy", "PolicyDocument")
    assert found["BucketLogs"]["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert found["BucketLogs"]["Resource"]["Fn::Join"][1][-1] == "/s3/*"
    assert found["BucketLogs"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"}
    }
    assert found["BalancerLogs"]["Principal"] == {
        "Service": "logdelivery.elasticloadbalancing.amazonaws.com"
    }
    assert {each["Fn::Join"][1][-1] for each in found["BalancerLogs"]["Resource"]} == {
        "/balancer/AWSLogs/123456789012/*",
        "/balancer/*/AWSLogs/123456789012/*",
    }


def test_access_logs_are_encrypted_with_keys_that_balancers_can_use_and_expire(
    template: Template,
) -> None:
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                ]
            },
            "LifecycleConfiguration": {
                "Rules": [Match.object_like({"ExpirationInDays": 90, "Status": "Enabled"})]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
        },
    )


def test_a_bucket_is_logged_without_a_change_to_the_log_bucket(template: Template) -> None:
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "LoggingConfiguration": {
                "DestinationBucketName": {"Ref": Match.string_like_regexp("^AccessLogs")},
                "LogFilePrefix": "s3/test/Logged/",
            }
        },
    )


def test_what_is_there_already_is_used_and_nothing_is_made(new_stack: Stacks) -> None:
    stack = new_stack()
    key = kms.Key.from_key_arn(stack, "Mine", KEY)
    bucket = s3.Bucket.from_bucket_name(stack, "Theirs", "logs")
    assert EncryptionKey(stack, "Key", alias="handbook", existing_key=key).key is key
    assert AccessLogs(stack, "AccessLogs", existing_bucket=bucket).bucket is bucket
    assert resources_made(stack) == []


def test_nobody_needs_a_key_that_is_not_there(new_stack: Stacks) -> None:
    role = iam.Role(new_stack(), "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    allow_key(role, None, "s3")
    assert role.node.try_find_child("DefaultPolicy") is None


def test_every_mistake_is_reported(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct) as caught:
        EncryptionKey(stack, "Key", alias="alias/handbook", pending_days=3)
    assert len(caught.value.mistakes) == 2
    with pytest.raises(InvalidConstruct, match="expiry_days is 0"):
        AccessLogs(stack, "AccessLogs", expiry_days=0)


def test_the_policy_packs_find_nothing(new_stack: Stacks) -> None:
    stack = new_stack()
    EncryptionKey(stack, "Key", alias="handbook-prod")
    AccessLogs(stack, "AccessLogs", removal_policy=cdk.RemovalPolicy.DESTROY)
    assert findings(stack) == []
