"""Database, bucket, secrets, repository."""

import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from existing_network import existing_network
from resources_made import resources_made

from llmops_constructs import (
    ArtifactStore,
    Database,
    ExplicitStack,
    ImageRepository,
    InvalidConstruct,
    ServiceSecrets,
)
from llmops_constructs.access_logs import AccessLogs
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
INSTANCE = "AWS::RDS::DBInstance"
KEY = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}


def database(stack: ExplicitStack, **arguments: Any) -> Database:
    network = existing_network(stack)
    return Database(stack, "Database", **{"database_name": "handbook", **network, **arguments})


def smallest(stack: ExplicitStack) -> ExplicitStack:
    database(stack)
    ArtifactStore(stack, "Artifacts")
    ImageRepository(stack, "Images", repository_name="handbook")
    return stack


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = smallest(new_stack())
    ServiceSecrets(stack, "Secrets")
    return synthesized(stack)


@pytest.fixture(scope="module")
def production(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    logs = AccessLogs(stack, "AccessLogs")
    made = database(stack, identifier="handbook-prod", multi_az=True, encryption_key=key)
    made.allow_iam(role(stack), "handbook_app")
    ArtifactStore(stack, "Artifacts", access_log_bucket=logs.bucket, encryption_key=key)
    ImageRepository(
        stack, "Images", repository_name="handbook", keep_untagged=20, encryption_key=key
    )
    return synthesized(stack)


def role(stack: ExplicitStack) -> iam.Role:
    return iam.Role(stack, "Task", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))


def test_the_smallest_forms_are_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(synthesized(smallest(new_stack())), "data")


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


def test_the_newest_leftovers_are_kept_by_number_if_asked(production: Template) -> None:
    (repository,) = production.find_resources("AWS::ECR::Repository").values()
    policy = json.loads(repository["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])
    (selection,) = [rule["selection"] for rule in policy["rules"]]
    assert (selection["countType"], selection["countNumber"]) == ("imageCountMoreThan", 20)


def test_rds_exports_its_logs_to_groups_that_are_there_before_it(production: Template) -> None:
    groups = production.find_resources("AWS::Logs::LogGroup")
    assert {each["Properties"]["LogGroupName"] for each in groups.values()} == {
        "/aws/rds/instance/handbook-prod/postgresql",
        "/aws/rds/instance/handbook-prod/upgrade",
    }
    (instance,) = production.find_resources(INSTANCE).values()
    assert instance["Properties"]["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]
    assert set(groups) <= set(instance["DependsOn"])


def test_an_instance_is_named_after_its_construct_if_nobody_names_it(template: Template) -> None:
    template.has_resource_properties(
        INSTANCE, {"DBInstanceIdentifier": Match.string_like_regexp("^test-database-[0-9a-f]{8}$")}
    )


def test_the_operating_system_is_watched_by_a_role_of_its_own(production: Template) -> None:
    production.has_resource_properties(
        INSTANCE, {"MonitoringInterval": 60, "DatabaseInsightsMode": "standard"}
    )
    (found,) = production.find_resources(
        "AWS::IAM::Role",
        {"Properties": {"Description": "RDS writes the metrics of the operating system"}},
    ).values()
    assert "ManagedPolicyArns" not in found["Properties"]


def test_one_key_encrypts_storage_password_insights_logs_bucket_and_images(
    production: Template,
) -> None:
    production.has_resource_properties(
        INSTANCE,
        {
            "KmsKeyId": KEY,
            "MasterUserSecret": {"KmsKeyId": KEY},
            "PerformanceInsightsKMSKeyId": KEY,
        },
    )
    production.resource_properties_count_is("AWS::Logs::LogGroup", {"KmsKeyId": KEY}, 2)
    production.has_resource_properties(
        "AWS::ECR::Repository", {"EncryptionConfiguration": {"EncryptionType": "KMS"}}
    )
    production.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {
                        "BucketKeyEnabled": True,
                        "ServerSideEncryptionByDefault": {
                            "SSEAlgorithm": "aws:kms",
                            "KMSMasterKeyID": KEY,
                        },
                    }
                ]
            },
            "LoggingConfiguration": {"LogFilePrefix": "s3/test/Artifacts/Bucket/"},
        },
    )


def test_a_role_may_connect_as_the_user_it_was_allowed_and_no_other(production: Template) -> None:
    production.has_resource_properties(INSTANCE, {"EnableIAMDatabaseAuthentication": True})
    (found,) = [
        statement
        for policy in production.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "rds-db:connect"
    ]
    start, instance, user = found["Resource"]["Fn::Join"][1]
    assert start == "arn:aws:rds-db:us-east-1:123456789012:dbuser:"
    assert instance["Fn::GetAtt"][1] == "DbiResourceId"
    assert user == "/handbook_app"


def existing_instance(stack: ExplicitStack, *groups: str) -> rds.IDatabaseInstance:
    return rds.DatabaseInstance.from_database_instance_attributes(
        stack,
        "Existing",
        instance_identifier="handbook",
        instance_endpoint_address="handbook.example",
        instance_resource_id="db-ABC",
        port=5433,
        security_groups=[
            ec2.SecurityGroup.from_security_group_id(stack, each, each) for each in groups
        ],
    )


def test_an_existing_instance_is_used_with_its_secret_and_group(new_stack: Stacks) -> None:
    stack = new_stack()
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "handbook/database")
    found: PostgresDatabase = Database(
        stack,
        "Database",
        database_name="handbook",
        existing_instance=existing_instance(stack, "sg-1"),
        existing_secret=secret,
    )
    assert (found.host, found.port, found.secret) == ("handbook.example", "5433", secret)
    assert found.security_group.security_group_id == "sg-1"
    assert found.metric_dimensions == {"DBInstanceIdentifier": "handbook"}
    assert resources_made(stack) == []


def test_an_existing_instance_with_two_groups_and_no_secret_is_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    with pytest.raises(InvalidConstruct) as caught:
        Database(
            stack,
            "Database",
            database_name="handbook",
            existing_instance=existing_instance(stack, "sg-1", "sg-2"),
        )
    assert len(caught.value.mistakes) == 2


def test_a_bucket_and_a_repository_that_are_there_already_are_used(new_stack: Stacks) -> None:
    stack = new_stack()
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "releases")
    repository = ecr.Repository.from_repository_name(stack, "Repository", "handbook")
    artifacts = ArtifactStore(stack, "Artifacts", existing_bucket=bucket)
    images = ImageRepository(
        stack, "Images", repository_name="handbook", existing_repository=repository
    )
    assert (artifacts.bucket, images.repository) == (bucket, repository)
    assert resources_made(stack) == []


def test_two_rules_for_leftovers_are_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct, match="exclude each other"):
        ImageRepository(
            new_stack(), "Images", repository_name="handbook", untagged_days=1, keep_untagged=1
        )


def test_every_mistake_of_a_database_is_reported(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        database(
            new_stack(),
            database_name="9 lives",
            identifier="9--lives",
            allocated_gib=10,
            backup_days=36,
            monitoring_seconds=2,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
    assert len(caught.value.mistakes) == 6
    assert caught.value.path == "test/Database"


def test_a_database_is_told_which_subnets_of_its_network(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct, match="in which of the VPC's"):
        database(new_stack(), vpc_subnets=None)


def test_a_new_database_without_a_network_is_refused(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct, match="a new database needs one"):
        Database(new_stack(), "Database", database_name="handbook")
