"""Where the requests to load balancers and buckets are logged.

The log bucket is the one bucket encrypted with S3's own keys: neither Elastic Load Balancing
("Enable access logs for your Application Load Balancer", step 1) nor S3 ("Enabling Amazon S3 server
access logging") can deliver into one whose default is a KMS key.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from llmops_constructs._buckets import (
    ACCESS_LOG_PREFIX,
    acknowledge_unlogged,
    log_access,
    private_bucket,
)
from llmops_constructs._findings import acknowledge_rule
from llmops_constructs._validation import check, outside

BALANCER_PREFIX = "balancer"
"""What a load balancer's `access_logs.s3.prefix` is or begins with."""


class AccessLogs(Construct):
    """One bucket for the access logs of the account's load balancers and buckets.

    Its own policy lets them in, so that those of other stacks need not edit it: S3 under `s3/`,
    load balancers under `balancer/`, both of this account only.

    :param expiry_days: a log is deleted after so many days; the version that leaves behind goes
        a week later.
    :param existing_bucket: used instead; nothing is created, and its policy must already let both
        in. It must be in the region of the load balancers and encrypted with S3's own keys.
    :param removal_policy: default: the logs stay when the stack goes.

    Example::

        logs = llm.AccessLogs(stack, "AccessLogs")
        llm.ArtifactStore(stack, "Artifacts", access_log_bucket=logs.bucket)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        expiry_days: int = 90,
        existing_bucket: s3.IBucket | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    outside(expiry_days, 1, 36500),
                    f"expiry_days is {expiry_days}; a log is kept 1 to 36500 days.",
                )
            ],
        )
        self.bucket: s3.IBucket = existing_bucket or self._make(expiry_days, removal_policy)

    @property
    def balancer_prefix(self) -> str:
        """The prefix a load balancer is told; it may append `/` and a name of its own."""
        return BALANCER_PREFIX

    @property
    def ready(self) -> IDependable:
        """What a load balancer of the same stack waits for: ELB tries to write when it is told."""
        return self.bucket.policy or self.bucket

    def log(self, bucket: s3.Bucket) -> None:
        """Has S3 log the requests for a bucket, of this or another stack."""
        log_access(bucket, self.bucket)

    def _make(self, expiry_days: int, removal_policy: cdk.RemovalPolicy) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Bucket",
            encryption_key=None,
            access_log_bucket=None,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(expiry_days),
                    noncurrent_version_expiration=cdk.Duration.days(7),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
                )
            ],
            removal_policy=removal_policy,
        )
        self._let_in(bucket)
        acknowledge_unlogged(
            bucket, "It holds the access logs; logging the writing of logs would never end."
        )
        acknowledge_rule(
            bucket,
            "S3DefaultEncryptionKMS",
            "Elastic Load Balancing and S3 cannot deliver logs into a bucket whose default is a "
            "KMS key; S3 encrypts them with its own.",
        )
        return bucket

    def _let_in(self, bucket: s3.Bucket) -> None:
        """S3 by the account it logs for; load balancers by the account in the key they write."""
        account = cdk.Stack.of(self).account
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BucketLogs",
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"{ACCESS_LOG_PREFIX}*")],
                conditions={"StringEquals": {"aws:SourceAccount": account}},
            )
        )
        balancers = iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BalancerLogs",
                principals=[balancers],
                actions=["s3:PutObject"],
                resources=[
                    bucket.arn_for_objects(f"{BALANCER_PREFIX}/AWSLogs/{account}/*"),
                    bucket.arn_for_objects(f"{BALANCER_PREFIX}/*/AWSLogs/{account}/*"),
                ],
            )
        )
