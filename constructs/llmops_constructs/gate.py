"""The function that ECS asks, before each step of a canary, whether to go on."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llmops_constructs._findings import (
    acknowledge,
    acknowledge_wildcard,
    objects_finding,
)
from llmops_constructs.names import log_group_name, resource_name

ROLLOUTS = "rollouts/*"
"""The keys of the artifact bucket a gate reads and writes: its record, the operator's word."""


class GateFunction(Construct):
    """A Lambda function that may look at one service's rollouts and metrics, and note what it saw.

    It can neither start, change nor stop a deployment: it only answers ECS.

    :param prefix: what the names of the function and of its log group begin with.
    :param code: pure Python; boto3 is in the runtime.
    :param cluster_name, service_name: the one service whose rollouts it may read.
    :param artifact_bucket: it may read and write the keys `rollouts/*` of it.
    :param removal_policy: of the log; default: kept when the stack goes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        code: lambda_.Code,
        handler: str,
        cluster_name: str,
        service_name: str,
        environment: str,
        metric_namespace: str,
        artifact_bucket: s3.IBucket,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_group_name(prefix, "gate"),
            retention=log_retention,
            removal_policy=removal_policy,
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        self._allow_rollouts(cluster_name, service_name)
        self._allow_record(artifact_bucket)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=resource_name(prefix, "gate"),
            description="Answers ECS before each step of a canary: go on, wait or roll back",
            code=code,
            handler=handler,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            timeout=cdk.Duration.seconds(30),
            memory_size=256,
            role=self.role,
            log_group=self.log_group,
            environment={
                "ARTIFACT_BUCKET": artifact_bucket.bucket_name,
                "METRIC_NAMESPACE": metric_namespace,
                "SERVICE_NAME": service_name,
                "ENVIRONMENT": environment,
            },
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The newest runtime of Lambda is not the newest the gate is tested with; Python 3.13 "
            "is maintained until October 2029.",
        )

    def _allow_rollouts(self, cluster_name: str, service_name: str) -> None:
        stack = cdk.Stack.of(self)
        deployments, revisions = (
            stack.format_arn(
                service="ecs", resource=kind, resource_name=f"{cluster_name}/{service_name}/*"
            )
            for kind in ("service-deployment", "service-revision")
        )
        for action, resource in (
            ("ecs:DescribeServiceDeployments", deployments),
            ("ecs:DescribeServiceRevisions", revisions),
        ):
            self._allow(action, resource)
            acknowledge_wildcard(
                self.role, resource, "All rollouts of this one service, whose ids ECS makes."
            )
        self._allow("ecs:DescribeTaskDefinition", "*")
        self._allow("cloudwatch:GetMetricData", "*")
        acknowledge_wildcard(
            self.role,
            "*",
            "ecs:DescribeTaskDefinition and cloudwatch:GetMetricData know no resources; both read.",
        )

    def _allow_record(self, bucket: s3.IBucket) -> None:
        """ListBucket, because S3 answers 403 instead of 404 for a missing key without it."""
        record = bucket.arn_for_objects(ROLLOUTS)
        self.role.add_to_policy(
            iam.PolicyStatement(actions=["s3:GetObject", "s3:PutObject"], resources=[record])
        )
        self._allow("s3:ListBucket", bucket.bucket_arn)
        acknowledge_wildcard(
            self.role,
            objects_finding(self, bucket, ROLLOUTS),
            "The records of the rollouts, whose ids ECS makes.",
        )

    def _allow(self, action: str, resource: str) -> None:
        self.role.add_to_policy(iam.PolicyStatement(actions=[action], resources=[resource]))
