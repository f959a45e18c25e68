"""What AWS Backup may do, kind by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._findings import acknowledge_wildcard
from llmops_constructs._wildcards import written
from llmops_constructs.database import PostgresDatabase

COLON = cdk.ArnFormat.COLON_RESOURCE_NAME
KEY_ACTIONS = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
COPIES = "Backups to come: AWS Backup makes their ids, all beginning with awsbackup."
WITHOUT_RESOURCES = {
    "s3": ("cloudwatch:GetMetricData", "events:ListRules", "s3:ListAllMyBuckets"),
    "all": ("tag:GetResources",),
}
"""What knows no resources; all of it reads."""


@dataclass(frozen=True)
class Allowed:
    """Some actions on some resources; the reason for those that end in `*`.

    :param written: how cdk-nag writes the resources, where that is not their ARN.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    reason: str = ""
    written: Sequence[str] = ()


@dataclass(frozen=True)
class Permission:
    """What one resource's backup needs, and the key it is encrypted with."""

    allowed: Sequence[Allowed]
    key: kms.IKey | None

    @classmethod
    def of_database(cls, scope: Construct, database: PostgresDatabase) -> Permission:
        """Snapshots of an instance or a cluster; the two APIs differ by a word."""
        word = "Cluster" if "DBClusterIdentifier" in database.metric_dimensions else ""
        kind = "cluster-snapshot" if word else "snapshot"
        owner = "cluster" if word else "db"
        described = "DescribeDBClusters" if word else "DescribeDBInstances"
        copies, every_copy, every_owner = (
            cdk.Stack.of(scope).format_arn(
                service="rds", resource=resource, resource_name=name, arn_format=COLON
            )
            for resource, name in ((kind, "awsbackup:*"), (kind, "*"), (owner, "*"))
        )
        return cls(
            [
                Allowed([f"rds:CreateDB{word}Snapshot"], [database.resource_arn]),
                Allowed(
                    [
                        "rds:AddTagsToResource",
                        f"rds:CopyDB{word}Snapshot",
                        f"rds:CreateDB{word}Snapshot",
                        f"rds:DeleteDB{word}Snapshot",
                        f"rds:ModifyDB{word}SnapshotAttribute",
                    ],
                    [copies],
                    COPIES,
                ),
                Allowed(
                    [
                        f"rds:{described}",
                        f"rds:DescribeDB{word}Snapshots",
                        "rds:ListTagsForResource",
                    ],
                    [every_owner, every_copy],
                    "RDS checks a call that lists against all that could be listed; it reads.",
                ),
            ],
            database.encryption_key,
        )

    @classmethod
    def of_table(cls, scope: Construct, table: dynamodb.ITable) -> Permission:
        """Backups of a table, the plain ones and those with AWS Backup's advanced features."""
        return cls(
            [
                Allowed(
                    [
                        "dynamodb:CreateBackup",
                        "dynamodb:DescribeTable",
                        "dynamodb:ListTagsOfResource",
                        "dynamodb:StartAwsBackupJob",
                    ],
                    [table.table_arn],
                ),
                Allowed(
                    ["dynamodb:DeleteBackup", "dynamodb:DescribeBackup"],
                    [f"{table.table_arn}/backup/*"],
                    "Backups to come of this one table, whose ids DynamoDB makes.",
                    [written(scope, table, table.table_arn, "/backup/*")],
                ),
            ],
            table.encryption_key,
        )

    @classmethod
    def of_bucket(cls, scope: Construct, bucket: s3.IBucket) -> Permission:
        """The bucket's objects, and the EventBridge rule by which AWS Backup hears of changes."""
        rules = cdk.Stack.of(scope).format_arn(
            service="events", resource="rule", resource_name="AwsBackupManagedRule*"
        )
        return cls(
            [
                Allowed([f"s3:{each}" for each in OF_BUCKET], [bucket.bucket_arn]),
                Allowed(
                    [f"s3:{each}" for each in OF_OBJECTS],
                    [bucket.arn_for_objects("*")],
                    "All objects of the bucket: a backup leaves none out.",
                    [written(scope, bucket, bucket.bucket_arn, "/*")],
                ),
                Allowed(
                    [f"events:{each}" for each in OF_RULE],
                    [rules],
                    "AWS Backup makes one rule for each bucket and its name's ending.",
                ),
                Allowed(WITHOUT_RESOURCES["s3"], ["*"]),
            ],
            bucket.encryption_key,
        )


OF_BUCKET = (
    "GetBucketAcl",
    "GetBucketLocation",
    "GetBucketNotification",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetInventoryConfiguration",
    "ListBucket",
    "ListBucketVersions",
    "PutBucketNotification",
    "PutInventoryConfiguration",
)
OF_OBJECTS = (
    "GetObject",
    "GetObjectAcl",
    "GetObjectTagging",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionTagging",
)
OF_RULE = (
    "DeleteRule",
    "DescribeRule",
    "DisableRule",
    "EnableRule",
    "ListTargetsByRule",
    "PutRule",
    "PutTargets",
    "RemoveTargets",
)


def backup_role(
    scope: Construct,
    vault: backup.IBackupVault,
    vault_key: kms.IKey | None,
    permissions: Sequence[Permission],
) -> iam.Role:
    """The role of a plan: its resources, their keys, its vault."""
    role = iam.Role(
        scope,
        "Role",
        description="AWS Backup reads what it backs up and keeps it in one vault",
        assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
    )
    for group in (_of_vault(scope, vault), *(each.allowed for each in permissions)):
        for each in group:
            _allow(role, each)
    acknowledge_wildcard(
        role, "*", "tag:GetResources and what lists rules, metrics and buckets know no resources."
    )
    _allow_keys(role, [vault_key, *(each.key for each in permissions)])
    return role


def _of_vault(scope: Construct, vault: backup.IBackupVault) -> list[Allowed]:
    points = cdk.Stack.of(scope).format_arn(
        service="backup", resource="recovery-point", resource_name="*", arn_format=COLON
    )
    return [
        Allowed(
            ["backup:CopyIntoBackupVault", "backup:DescribeBackupVault"], [vault.backup_vault_arn]
        ),
        Allowed(["backup:TagResource"], [points], "Backups to come, whose ids AWS Backup makes."),
        Allowed(WITHOUT_RESOURCES["all"], ["*"]),
    ]


def _allow(role: iam.Role, allowed: Allowed) -> None:
    role.add_to_policy(
        iam.PolicyStatement(actions=list(allowed.actions), resources=list(allowed.resources))
    )
    if allowed.reason:
        for resource in allowed.written or allowed.resources:
            acknowledge_wildcard(role, resource, allowed.reason)


def _allow_keys(role: iam.Role, keys: Iterable[kms.IKey | None]) -> None:
    """Data of the resources and the vault; a grant lets RDS and DynamoDB go on by themselves."""
    arns = list(dict.fromkeys(key.key_arn for key in keys if key))
    if not arns:
        return
    role.add_to_policy(iam.PolicyStatement(actions=list(KEY_ACTIONS), resources=arns))
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["kms:CreateGrant"],
            resources=arns,
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        )
    )
