"""The function that ECS asks during a rollout whether to go on.

Inside a VPC, which the golden set needs, it reaches AWS by the way its subnets have: a NAT gateway,
or endpoints for S3, ECS, CloudWatch (`monitoring`) and Secrets Manager, as `Network` makes them
when it has no NAT gateway. What Lambda itself needs there is in `interfaces`.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge_wildcard, objects_finding
from llmops_constructs._validation import check
from llmops_constructs.functions import KitFunction, placement
from llmops_constructs.routing import LlmRouting

ROLLOUTS = "rollouts/*"
"""The gate's record and the operator's word."""
READ = (ROLLOUTS, "releases/*", "golden/*")
WRITTEN = (ROLLOUTS, "golden/results/*")
"""The keys of the artifact bucket that a gate reads and writes."""

TIMEOUT_SECONDS = 25
"""ECS waits 30 seconds for an answer, the start of a cold function included."""

WITHOUT_RESOURCES = (
    "ecs:DescribeTaskDefinition",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
)


class GateFunction(Construct):
    """A Lambda function that may look at one service's rollouts and metrics, and note what it saw.

    It can neither start, change nor stop a deployment: it only answers ECS.

    :param prefix: what the names of the function and of its log group begin with.
    :param code: pure Python; boto3 is in the runtime.
    :param cluster_name, service_name: the one service whose rollouts it may read.
    :param artifact_bucket: it may read releases, golden sets and rollouts, and write rollouts and
        the results of golden sets.
    :param vpc, vpc_subnets: default: outside any VPC, where no golden set can be asked. The subnets
        need a way to AWS, see above: without one every call would hang.
    :param ipv6: in a dual-stack VPC it reaches AWS by IPv6; default: by IPv4 alone.
    :param routing: the load balancer at whose two listeners the golden set is asked; needs `vpc`
        and `tokens`. Default: no golden set is asked, and the gate says so.
    :param tokens: the secret with the service's bearer tokens.
    :param encryption_key: of the log; default: CloudWatch Logs' own key.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        gate = llm.GateFunction(
            stack,
            "Gate",
            prefix="handbook-prod",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            cluster_name="handbook-prod",
            service_name="handbook",
            environment="prod",
            metric_namespace="llmops",
            artifact_bucket=llm.ArtifactStore(stack, "Artifacts").bucket,
        )
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
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        ipv6: bool = False,
        routing: LlmRouting | None = None,
        tokens: secretsmanager.ISecret | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._check(vpc, vpc_subnets, routing, tokens)
        self._kit = KitFunction(
            self,
            "Default",
            name="gate",
            prefix=prefix,
            code=code,
            handler=handler,
            description="Answers ECS during a rollout: go on, wait or roll back",
            timeout=cdk.Duration.seconds(TIMEOUT_SECONDS),
            environment={
                "ARTIFACT_BUCKET": artifact_bucket.bucket_name,
                "METRIC_NAMESPACE": metric_namespace,
                "SERVICE_NAME": service_name,
                "ENVIRONMENT": environment,
                **_golden_variables(routing, tokens),
            },
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            ipv6=ipv6,
            group_description="The gate: AWS, and the two listeners of the load balancer, out",
            encryption_key=encryption_key,
            log_retention=log_retention,
            removal_policy=removal_policy,
        )
        self.function, self.role = self._kit.function, self._kit.role
        self.log_group, self.security_group = self._kit.log_group, self._kit.security_group
        self._allow_rollouts(cluster_name, service_name)
        self._allow_record(artifact_bucket)
        if tokens:
            self._allow_tokens(tokens)
        if routing:
            self._reach(routing)

    def _check(
        self,
        vpc: ec2.IVpc | None,
        vpc_subnets: ec2.SubnetSelection | None,
        routing: LlmRouting | None,
        tokens: secretsmanager.ISecret | None,
    ) -> None:
        check(
            self,
            [
                (routing is not None and vpc is None, "routing needs a vpc to reach it from."),
                (
                    (routing is None) != (tokens is None),
                    "routing and tokens belong together: the golden set is asked with a token.",
                ),
                *placement(vpc, vpc_subnets),
            ],
        )

    def _allow_rollouts(self, cluster_name: str, service_name: str) -> None:
        stack = cdk.Stack.of(self)
        deployments, revisions = (
            stack.format_arn(
                service="ecs", resource=kind, resource_name=f"{cluster_name}/{service_name}/*"
            )
            for kind in ("service-deployment", "service-revision")
        )
        service = stack.format_arn(
            service="ecs", resource="service", resource_name=f"{cluster_name}/{service_name}"
        )
        for action, resource in (
            ("ecs:DescribeServiceDeployments", deployments),
            ("ecs:DescribeServiceRevisions", revisions),
        ):
            self._kit.allow(action, resource, service)
            acknowledge_wildcard(
                self.role, resource, "All rollouts of this one service, whose ids ECS makes."
            )
        for action in WITHOUT_RESOURCES:
            self._kit.allow(action, "*")
        acknowledge_wildcard(
            self.role, "*", f"{', '.join(WITHOUT_RESOURCES)} know no resources; all of them read."
        )

    def _allow_record(self, bucket: s3.IBucket) -> None:
        """ListBucket, because S3 answers 403 instead of 404 for a missing key without it."""
        for action, keys in (("s3:GetObject", READ), ("s3:PutObject", WRITTEN)):
            self._kit.allow(action, *(bucket.arn_for_objects(each) for each in keys))
        self._kit.allow("s3:ListBucket", bucket.bucket_arn)
        for each in dict.fromkeys((*READ, *WRITTEN)):
            acknowledge_wildcard(
                self.role,
                objects_finding(self, bucket, each),
                "Records, releases and golden sets to come, whose names are made later.",
            )

    def _allow_tokens(self, tokens: secretsmanager.ISecret) -> None:
        self._kit.allow("secretsmanager:GetSecretValue", tokens.secret_arn)
        if tokens.encryption_key:
            tokens.encryption_key.grant_decrypt(self.role)

    def _reach(self, routing: LlmRouting) -> None:
        """Opens the way out to the load balancer's two listeners."""
        if self.security_group is None:
            return
        balancer = ec2.Peer.security_group_id(routing.security_group.security_group_id)
        for what, port in (
            ("users", routing.listener_port),
            ("tests", routing.test_listener_port),
        ):
            self.security_group.add_egress_rule(
                balancer, ec2.Port.tcp(port), f"the listener for {what}"
            )


def _golden_variables(
    routing: LlmRouting | None, tokens: secretsmanager.ISecret | None
) -> dict[str, str]:
    if routing is None or tokens is None:
        return {}
    return {
        "TEST_URL": routing.test_url,
        "SERVICE_URL": routing.service_url,
        "TOKEN_SECRET_ARN": tokens.secret_arn,
    }
