"""Aurora Serverless v2."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from existing_network import existing_network
from resources_made import resources_made

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.aurora import AuroraDatabase
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
CLUSTER = "AWS::RDS::DBCluster"


def aurora(stack: ExplicitStack, **arguments: Any) -> AuroraDatabase:
    network = existing_network(stack)
    return AuroraDatabase(stack, "Database", database_name="handbook", **{**network, **arguments})


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    """The smallest one, and a role that may connect."""
    stack = new_stack()
    database = aurora(stack)
    role = iam.Role(stack, "Task", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
    database.allow_iam(role, "handbook_app")
    return synthesized(stack)


@pytest.fixture(scope="module")
def production(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    aurora(
        stack,
        identifier="handbook-prod",
        multi_az=True,
        min_acu=2,
        max_acu=16,
        insights=True,
        backup_days=35,
        encryption_key=key,
    )
    return synthesized(stack)


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    aurora(stack)
    snapshot(synthesized(stack), "aurora")


def test_it_pauses_at_zero_after_five_idle_minutes(template: Template) -> None:
    template.has_resource_properties(
        CLUSTER,
        {
            "Engine": "aurora-postgresql",
            "ServerlessV2ScalingConfiguration": {
                "MinCapacity": 0,
                "MaxCapacity": 2,
                "SecondsUntilAutoPause": 300,
            },
        },
    )


def test_one_that_never_pauses_is_told_no_pause(production: Template) -> None:
    production.has_resource_properties(
        CLUSTER,
        {
            "ServerlessV2ScalingConfiguration": {
                "MinCapacity": 2,
                "MaxCapacity": 16,
                "SecondsUntilAutoPause": Match.absent(),
            }
        },
    )


def test_it_is_encrypted_protected_backed_up_and_requires_tls(template: Template) -> None:
    template.has_resource(
        CLUSTER,
        {
            "DeletionPolicy": "Snapshot",
            "Properties": Match.object_like(
                {
                    "StorageEncrypted": True,
                    "DeletionProtection": True,
                    "BackupRetentionPeriod": 7,
                    "EnableIAMDatabaseAuthentication": True,
                    "ManageMasterUserPassword": True,
                    "MasterUserPassword": Match.absent(),
                }
            ),
        },
    )
    template.has_resource_properties(
        "AWS::RDS::DBClusterParameterGroup", {"Parameters": {"rds.force_ssl": "1"}}
    )


def test_a_reader_of_the_writers_size_takes_over(production: Template) -> None:
    instances = production.find_resources("AWS::RDS::DBInstance").values()
    assert sorted(each["Properties"]["PromotionTier"] for each in instances) == [0, 1]


def test_one_instance_is_enough_without_a_standby(template: Template) -> None:
    template.resource_count_is("AWS::RDS::DBInstance", 1)


def test_one_key_encrypts_storage_password_insights_and_log(production: Template) -> None:
    key = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}
    production.has_resource_properties(
        CLUSTER, {"KmsKeyId": key, "MasterUserSecret": {"KmsKeyId": key}}
    )
    production.has_resource_properties("AWS::RDS::DBInstance", {"PerformanceInsightsKMSKeyId": key})
    production.has_resource_properties(
        "AWS::Logs::LogGroup",
        {
            "LogGroupName": "/aws/rds/cluster/handbook-prod/postgresql",
            "KmsKeyId": key,
            "RetentionInDays": 30,
        },
    )


def test_the_log_group_is_there_before_rds_would_make_it(production: Template) -> None:
    (group,) = production.find_resources("AWS::Logs::LogGroup")
    (cluster,) = production.find_resources(CLUSTER).values()
    assert group in cluster["DependsOn"]


def test_a_role_may_connect_as_the_user_it_was_allowed_and_no_other(template: Template) -> None:
    policies = template.find_resources("AWS::IAM::Policy").values()
    (found,) = [
        statement
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "rds-db:connect"
    ]
    start, cluster, user = found["Resource"]["Fn::Join"][1]
    assert start == "arn:aws:rds-db:us-east-1:123456789012:dbuser:"
    assert cluster["Fn::GetAtt"][1] == "DBClusterResourceId"
    assert user == "/handbook_app"


def test_an_existing_cluster_is_used_with_its_secret_and_group(new_stack: Stacks) -> None:
    stack = new_stack()
    group = ec2.SecurityGroup.from_security_group_id(stack, "Theirs", "sg-1")
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "handbook/database")
    cluster = rds.DatabaseCluster.from_database_cluster_attributes(
        stack,
        "Existing",
        cluster_identifier="handbook",
        cluster_endpoint_address="handbook.example",
        cluster_resource_identifier="cluster-ABC",
        port=5433,
        security_groups=[group],
    )
    database: PostgresDatabase = AuroraDatabase(
        stack,
        "Database",
        database_name="handbook",
        existing_cluster=cluster,
        existing_secret=secret,
    )
    assert (database.host, database.secret) == ("handbook.example", secret)
    assert database.security_group.security_group_id == "sg-1"
    assert database.port == "5433"
    assert database.metric_dimensions == {"DBClusterIdentifier": "handbook"}
    assert resources_made(stack) == []


def test_an_existing_cluster_without_its_secret_or_group_is_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    cluster = rds.DatabaseCluster.from_database_cluster_attributes(
        stack, "Existing", cluster_identifier="handbook"
    )
    with pytest.raises(InvalidConstruct) as caught:
        AuroraDatabase(stack, "Database", database_name="handbook", existing_cluster=cluster)
    assert len(caught.value.mistakes) == 2


def test_every_mistake_is_reported(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        AuroraDatabase(
            new_stack(),
            "Database",
            database_name="9 lives",
            identifier="-handbook",
            min_acu=4.25,
            max_acu=2,
            pause_seconds=60,
            backup_days=0,
            monitoring_seconds=7,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
    assert len(caught.value.mistakes) == 9
