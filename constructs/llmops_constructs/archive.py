"""Where telemetry goes when CloudWatch Logs is too dear to keep it.

A log group's subscription hands its events to Firehose, which unpacks them, takes the messages out
of CloudWatch's envelope (one JSON line each) and writes them to S3, gzipped, at least every quarter
of an hour. S3 moves them to cheaper classes by age; objects below 128 KB stay where they are, as
moving them would cost more than it saves ("Transitioning objects", S3 user guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesisfirehose as firehose
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._buckets import acknowledge_unlogged, private_bucket
from llmops_constructs._findings import acknowledge_wildcard
from llmops_constructs._logs import Kept, own_log
from llmops_constructs._validation import Rule, check
from llmops_constructs._wildcards import written
from llmops_constructs.keys import WRITE_ACTIONS, allow_key
from llmops_constructs.names import resource_name

ERRORS = "errors"
"""What Firehose could not deliver is under this key, with the reason."""
BUFFER_SECONDS, BUFFER_MIB = 900, 64
"""Firehose's longest wait; few large objects are cheaper to move and to read than many small."""


class TelemetryArchive(Construct):
    """A bucket that takes a copy of log groups and forgets it in steps.

    :param prefix: what the names of the streams and of their log group begin with.
    :param infrequent_days: age at which objects move to Standard-IA: 30 at least.
    :param instant_days: age at which they move to Glacier Instant Retrieval.
    :param deep_days: age at which they move to Glacier Deep Archive, where reading one takes
        hours. Default: never.
    :param expiry_days: age at which they are deleted. None: never.
    :param access_log_bucket: where S3 logs each access, e.g. `AccessLogs.bucket`. Default: none.
    :param encryption_key: of bucket, streams and log group. Default: AWS's own keys.
    :param existing_bucket: used instead of a new one, with the lifecycle it has.
    :param log_retention: of what Firehose says about failed deliveries.
    :param removal_policy: default: the archive stays when the stack goes.

    Example::

        from aws_cdk import aws_logs as logs

        archive = llm.TelemetryArchive(stack, "Archive", prefix="handbook-prod")
        archive.archive(logs.LogGroup(stack, "Service"), "service")
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        infrequent_days: int = 30,
        instant_days: int = 90,
        deep_days: int | None = None,
        expiry_days: int | None = 730,
        access_log_bucket: s3.IBucket | None = None,
        encryption_key: kms.IKey | None = None,
        existing_bucket: s3.IBucket | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(self, _age_rules(infrequent_days, instant_days, deep_days, expiry_days))
        self._prefix, self._key = prefix, encryption_key
        ages = [
            (s3.StorageClass.INFREQUENT_ACCESS, infrequent_days),
            (s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, instant_days),
            (s3.StorageClass.DEEP_ARCHIVE, deep_days),
        ]
        self.bucket: s3.IBucket = existing_bucket or self._make(
            [_lifecycle(ages, expiry_days)], access_log_bucket, removal_policy
        )
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, "archive", kept)
        self._delivery = self._delivery_role()
        self._subscription = self._subscription_role()
        self.streams: dict[str, firehose.CfnDeliveryStream] = {}

    def archive(self, group: logs.ILogGroup, what: str, filter_pattern: str = "") -> None:
        """Archives what is written to a log group from now on, under the key `WHAT/YYYY/MM/DD/`.

        A log group has room for two subscriptions; this is one of them.

        :param what: lower case letters, digits and hyphens; once per archive.
        :param filter_pattern: of CloudWatch Logs. Default: every event.
        """
        check(
            self,
            [
                (
                    re.fullmatch("[a-z][a-z0-9-]*", what) is None or what == ERRORS,
                    f"what '{what}' must be lower case letters, digits, hyphens; not '{ERRORS}'.",
                ),
                (what in self.streams, f"'{what}' is archived already."),
            ],
        )
        stream = self.streams[what] = self._stream(what)
        self._subscription.add_to_policy(
            iam.PolicyStatement(
                actions=["firehose:PutRecord", "firehose:PutRecordBatch"],
                resources=[stream.attr_arn],
            )
        )
        subscription = logs.CfnSubscriptionFilter(
            self,
            f"{what}-subscription",
            log_group_name=group.log_group_name,
            filter_pattern=filter_pattern,
            destination_arn=stream.attr_arn,
            role_arn=self._subscription.role_arn,
        )
        subscription.node.add_dependency(self._subscription.node.find_child("DefaultPolicy"))

    def _stream(self, what: str) -> firehose.CfnDeliveryStream:
        log_stream = logs.LogStream(
            self, f"{what}-log", log_group=self.log_group, log_stream_name=what
        )
        stream = firehose.CfnDeliveryStream(
            self,
            f"{what}-stream",
            delivery_stream_name=resource_name(self._prefix, "archive", what),
            delivery_stream_type="DirectPut",
            delivery_stream_encryption_configuration_input=_encryption(self._key),
            extended_s3_destination_configuration=self._destination(what, log_stream),
        )
        stream.node.add_dependency(self._delivery.node.find_child("DefaultPolicy"))
        return stream

    def _destination(
        self, what: str, log_stream: logs.LogStream
    ) -> firehose.CfnDeliveryStream.ExtendedS3DestinationConfigurationProperty:
        kind = firehose.CfnDeliveryStream
        return kind.ExtendedS3DestinationConfigurationProperty(
            bucket_arn=self.bucket.bucket_arn,
            role_arn=self._delivery.role_arn,
            prefix=f"{what}/!{{timestamp:yyyy/MM/dd}}/",
            error_output_prefix=(
                f"{ERRORS}/{what}/!{{firehose:error-output-type}}/!{{timestamp:yyyy/MM/dd}}/"
            ),
            buffering_hints=kind.BufferingHintsProperty(
                interval_in_seconds=BUFFER_SECONDS, size_in_m_bs=BUFFER_MIB
            ),
            compression_format="GZIP",
            file_extension=".jsonl.gz",
            processing_configuration=_unpacking(),
            cloud_watch_logging_options=kind.CloudWatchLoggingOptionsProperty(
                enabled=True,
                log_group_name=self.log_group.log_group_name,
                log_stream_name=log_stream.log_stream_name,
            ),
        )

    def _delivery_role(self) -> iam.Role:
        """What "Grant Firehose access to an Amazon S3 destination" lists, for this bucket."""
        role = _role(self, "DeliveryRole", "firehose")
        for actions, resource in (
            (
                ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                self.bucket.bucket_arn,
            ),
            (
                ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                self.bucket.arn_for_objects("*"),
            ),
            (["logs:PutLogEvents"], self.log_group.log_group_arn),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        allow_key(role, self.bucket.encryption_key, "s3", WRITE_ACTIONS)
        objects = written(self, self.bucket, self.bucket.bucket_arn, "/*")
        acknowledge_wildcard(role, objects, "Objects to come, in its own bucket.")
        return role

    def _subscription_role(self) -> iam.Role:
        """What CloudWatch Logs puts records with; for log groups of the account only."""
        groups = cdk.Stack.of(self).format_arn(service="logs", resource="*")
        return _role(self, "SubscriptionRole", "logs", ArnLike={"aws:SourceArn": groups})

    def _make(
        self,
        lifecycle_rules: list[s3.LifecycleRule],
        access_log_bucket: s3.IBucket | None,
        removal_policy: cdk.RemovalPolicy,
    ) -> s3.Bucket:
        bucket = private_bucket(
            self,
            "Bucket",
            encryption_key=self._key,
            access_log_bucket=access_log_bucket,
            lifecycle_rules=lifecycle_rules,
            removal_policy=removal_policy,
        )
        if access_log_bucket is None:
            acknowledge_unlogged(
                bucket,
                "Only Firehose writes to it, and its own log group says what failed; a log bucket "
                "is the account's decision (access_log_bucket).",
            )
        return bucket


def _role(scope: Construct, id: str, service: str, **conditions: Mapping[str, str]) -> iam.Role:
    principal = iam.ServicePrincipal(f"{service}.amazonaws.com", conditions=conditions)
    return iam.Role(scope, id, description="On the way to the archive", assumed_by=principal)


def _encryption(
    key: kms.IKey | None,
) -> firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty:
    return firehose.CfnDeliveryStream.DeliveryStreamEncryptionConfigurationInputProperty(
        key_type="CUSTOMER_MANAGED_CMK" if key else "AWS_OWNED_CMK",
        key_arn=key.key_arn if key else None,
    )


def _unpacking() -> firehose.CfnDeliveryStream.ProcessingConfigurationProperty:
    """Gunzips what CloudWatch Logs sends and keeps the messages, each on a line of its own."""
    kind = firehose.CfnDeliveryStream
    return kind.ProcessingConfigurationProperty(
        enabled=True,
        processors=[
            kind.ProcessorProperty(
                type=processor,
                parameters=[
                    kind.ProcessorParameterProperty(parameter_name=name, parameter_value=value)
                ],
            )
            for processor, name, value in (
                ("Decompression", "CompressionFormat", "GZIP"),
                ("CloudWatchLogProcessing", "DataMessageExtraction", "true"),
            )
        ],
    )


def _lifecycle(
    ages: list[tuple[s3.StorageClass, int | None]], expiry_days: int | None
) -> s3.LifecycleRule:
    expiry: dict[str, Any] = {"expiration": cdk.Duration.days(expiry_days)} if expiry_days else {}
    return s3.LifecycleRule(
        **expiry,
        noncurrent_version_expiration=cdk.Duration.days(30),
        abort_incomplete_multipart_upload_after=cdk.Duration.days(7),
        transitions=[
            s3.Transition(storage_class=kind, transition_after=cdk.Duration.days(days))
            for kind, days in ages
            if days is not None
        ],
    )


def _age_rules(infrequent: int, instant: int, deep: int | None, expiry: int | None) -> list[Rule]:
    """S3 asks for 30 days before Standard-IA and 30 days in it before the next class."""
    last = max(infrequent, instant, deep or 0)
    return [
        (infrequent < 30, f"infrequent_days is {infrequent}; S3 allows 30 and more."),
        (
            instant < infrequent + 30,
            f"instant_days is {instant}; it must be 30 after infrequent_days, {infrequent}.",
        ),
        (
            deep is not None and deep <= instant,
            f"deep_days is {deep}; it must be after instant_days, {instant}.",
        ),
        (
            expiry is not None and expiry <= last,
            f"expiry_days is {expiry}; the last move is at {last} days.",
        ),
    ]
