"""Database, bucket, secrets, repository."""

import json
from collections.abc import Callable

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Match, Template

from llmops_constructs import (
    ArtifactStore,
    Database,
    ExplicitStack,
    ImageRepository,
    InvalidConstruct,
    Network,
    ServiceSecrets,
)

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    network = Network(stack, "Network")
    Database(
        stack,
        "Database",
        vpc=network.vpc,
        vpc_subnets=network.database_subnets,
        database_name="handbook",
    )
    ArtifactStore(stack, "Artifacts")
    ServiceSecrets(stack, "Secrets")
    ImageRepository(stack, "Images", repository_name="handbook")
    return synthesized(stack)


def test_the_database_is_encrypted_private_protected_and_requires_tls(template: Template) -> None:
    template.has_resource_properties(
        "AWS::RDS::DBInstance",
        {
            "Engine": "postgres",
            "StorageEncrypted": True,
            "PubliclyAccessible": False,
            "DeletionProtection": True,
            "BackupRetentionPeriod": 7,
        },
    )
    template.has_resource_properties(
        "AWS::RDS::DBParameterGroup", {"Parameters": {"rds.force_ssl": "1"}}
    )


def test_rds_makes_and_keeps_the_master_password(template: Template) -> None:
    template.has_resource_properties(
        "AWS::RDS::DBInstance",
        {"ManageMasterUserPassword": True, "MasterUserPassword": Match.absent()},
    )
    template.resource_count_is("AWS::SecretsManager::Secret", 1)


def test_a_last_snapshot_is_taken_before_a_database_goes(template: Template) -> None:
    template.has_resource("AWS::RDS::DBInstance", {"DeletionPolicy": "Snapshot"})


def test_nobody_may_connect_to_a_new_database(template: Template) -> None:
    groups = template.find_resources(
        "AWS::EC2::SecurityGroup",
        {"Properties": {"GroupDescription": Match.string_like_regexp("^The database")}},
    )
    assert ["SecurityGroupIngress" in group["Properties"] for group in groups.values()] == [False]


def test_the_bucket_is_private_versioned_encrypted_and_kept(template: Template) -> None:
    template.has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "Retain",
            "Properties": Match.object_like(
                {
                    "VersioningConfiguration": {"Status": "Enabled"},
                    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                    "PublicAccessBlockConfiguration": {
                        "BlockPublicAcls": True,
                        "BlockPublicPolicy": True,
                        "IgnorePublicAcls": True,
                        "RestrictPublicBuckets": True,
                    },
                }
            ),
        },
    )


def test_the_bucket_refuses_plain_http(template: Template) -> None:
    template.has_resource_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": Match.array_with(
                        [
                            Match.object_like(
                                {
                                    "Effect": "Deny",
                                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                                }
                            )
                        ]
                    )
                }
            )
        },
    )


def test_the_token_is_made_by_secrets_manager_beside_an_empty_previous_one(
    template: Template,
) -> None:
    template.has_resource_properties(
        "AWS::SecretsManager::Secret",
        {
            "SecretString": Match.absent(),
            "GenerateSecretString": {
                "SecretStringTemplate": json.dumps({"previous": ""}),
                "GenerateStringKey": "current",
                "ExcludePunctuation": True,
                "PasswordLength": 48,
            },
        },
    )


def test_tags_of_images_never_move_and_tagged_images_never_expire(template: Template) -> None:
    template.has_resource_properties(
        "AWS::ECR::Repository",
        {"ImageTagMutability": "IMMUTABLE", "ImageScanningConfiguration": {"ScanOnPush": True}},
    )
    (repository,) = template.find_resources("AWS::ECR::Repository").values()
    policy = json.loads(repository["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])
    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == ["untagged"]


def test_every_mistake_of_a_database_is_reported(new_stack: Stacks) -> None:
    stack = new_stack()
    network = Network(stack, "Network")
    with pytest.raises(InvalidConstruct) as caught:
        Database(
            stack,
            "Database",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            database_name="9 lives",
            allocated_gib=10,
            backup_days=36,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
    assert len(caught.value.mistakes) == 4
    assert caught.value.path == "test/Database"
