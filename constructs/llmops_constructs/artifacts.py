"""Where releases and the evidence of their rollouts are kept."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._buckets import acknowledge_unlogged, private_bucket


class ArtifactStore(Construct):
    """A private bucket: versioned, encrypted, TLS only, objects owned by the bucket's account.

    Nothing expires: a release is small and is needed as long as somebody may roll back to it.
    Only overwritten and deleted versions go, after 90 days.

    :param access_log_bucket: where S3 logs each access, e.g. `AccessLogs.bucket`; default: it
        logs none, use a CloudTrail trail with data events.
    :param encryption_key: default: S3's own keys. Whoever reads or writes then needs the key, too:
        `keys.allow_key(role, store.bucket.encryption_key, "s3")`.
    :param existing_bucket: used instead; nothing is created, and it should be versioned.
    :param removal_policy: default: the bucket stays when the stack goes. DESTROY removes it
        only if it is empty; nothing is emptied automatically.

    Example::

        store = llm.ArtifactStore(stack, "Artifacts")
        cdk.CfnOutput(stack, "ArtifactBucket", value=store.bucket.bucket_name)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        access_log_bucket: s3.IBucket | None = None,
        encryption_key: kms.IKey | None = None,
        existing_bucket: s3.IBucket | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.bucket: s3.IBucket = existing_bucket or self._make(
            access_log_bucket, encryption_key, removal_policy
        )

    def _make(
        self, logs: s3.IBucket | None, encryption_key: kms.IKey | None, removal: cdk.RemovalPolicy
    ) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Bucket",
            encryption_key=encryption_key,
            access_log_bucket=logs,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=cdk.Duration.days(90),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                )
            ],
            removal_policy=removal,
        )
        if logs is None:
            acknowledge_unlogged(
                bucket,
                "Releases are content-addressed and never edited; who wrote what is in "
                "CloudTrail, and a log bucket is the account's decision (access_log_bucket).",
            )
        return bucket
