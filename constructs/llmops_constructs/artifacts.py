"""Where releases and the evidence of their rollouts are kept."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._findings import acknowledge


class ArtifactStore(Construct):
    """A private bucket: versioned, encrypted, TLS only, objects owned by the bucket's account.

    Nothing expires: a release is small and is needed as long as somebody may roll back to it.
    Only overwritten and deleted versions go, after 90 days.

    :param access_log_bucket: where S3 logs each access; default: it logs none, use a
        CloudTrail trail with data events.
    :param removal_policy: default: the bucket stays when the stack goes. DESTROY removes it
        only if it is empty; nothing is emptied automatically.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        access_log_bucket: s3.IBucket | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=access_log_bucket,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=cdk.Duration.days(90),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                )
            ],
            removal_policy=removal_policy,
        )
        if access_log_bucket is None:
            acknowledge(
                self.bucket,
                "AwsSolutions-S1",
                "Releases are content-addressed and never edited; who wrote what is in "
                "CloudTrail, and a log bucket is the account's decision (access_log_bucket).",
            )
