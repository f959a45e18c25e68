"""Buckets, all made the same way.

Access logging is set on the resource itself and not by the CDK's `server_access_logs_bucket`: that
one would also edit the log bucket, by an access control list that its ownership setting forbids or
by a statement naming the logged bucket, a cycle between stacks. The policy of `AccessLogs` already
lets every bucket of the account in.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._findings import acknowledge, acknowledge_rule

ACCESS_LOG_PREFIX = "s3/"
"""Where `AccessLogs` lets S3 write."""


def private_bucket(
    scope: Construct,
    id: str,
    *,
    encryption_key: kms.IKey | None,
    access_log_bucket: s3.IBucket | None,
    lifecycle_rules: Sequence[s3.LifecycleRule],
    removal_policy: cdk.RemovalPolicy,
) -> s3.Bucket:
    """Versioned, encrypted, TLS 1.2 only, objects owned by the bucket's account, never public.

    :param encryption_key: None encrypts with keys of S3's own (SSE-S3).
    :param access_log_bucket: None logs no access to it, which stays a finding of cdk-nag.
    """
    bucket = s3.Bucket(
        scope,
        id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.KMS if encryption_key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=encryption_key,
        bucket_key_enabled=True if encryption_key else None,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        versioned=True,
        lifecycle_rules=list(lifecycle_rules),
        removal_policy=removal_policy,
    )
    if access_log_bucket:
        log_access(bucket, access_log_bucket)
    acknowledge_rule(
        bucket,
        "S3BucketReplicationEnabled",
        "S3 keeps each object in three zones; a copy in a second region or account is AWS "
        "Backup's (BackupPlan) and would double what the data costs.",
    )
    return bucket


def log_access(bucket: s3.Bucket, logs: s3.IBucket) -> None:
    """Has S3 log each request for the bucket, under `s3/` and the bucket's construct path."""
    resource = bucket.node.default_child
    assert isinstance(resource, s3.CfnBucket)
    resource.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
        destination_bucket_name=logs.bucket_name,
        log_file_prefix=f"{ACCESS_LOG_PREFIX}{bucket.node.path}/",
    )


def acknowledge_unlogged(bucket: s3.Bucket, reason: str) -> None:
    """Records why nobody logs the requests for a bucket."""
    acknowledge(bucket, "AwsSolutions-S1", reason)
    acknowledge_rule(bucket, "S3BucketLoggingEnabled", reason)
