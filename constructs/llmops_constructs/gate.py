"""The function that ECS asks during a rollout whether to go on.

Inside a VPC, which the golden set needs, it reaches AWS by the way its subnets have: a NAT gateway,
or endpoints for S3, ECS, CloudWatch (`monitoring`) and Secrets Manager, as `Network` makes them
when it has no NAT gateway. Its execution role and the deny statement are those of the Lambda
developer guide, "Giving Lambda functions access to resources in an Amazon VPC".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import (
    acknowledge,
    acknowledge_wildcard,
    objects_finding,
)
from llmops_constructs._validation import check
from llmops_constructs.names import log_group_name, resource_name
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

RUNTIME: Mapping[str, Any] = {
    "description": "Answers ECS during a rollout: go on, wait or roll back",
    "runtime": lambda_.Runtime.PYTHON_3_13,
    "architecture": lambda_.Architecture.ARM_64,
    "timeout": cdk.Duration.seconds(TIMEOUT_SECONDS),
    "memory_size": 256,
}

SEEING_INTERFACES = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
CHANGING_INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda does with the role of a function in a VPC, and the function itself must not."""


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
    :param routing: the load balancer at whose two listeners the golden set is asked; needs `vpc`
        and `tokens`. Default: no golden set is asked, and the gate says so.
    :param tokens: the secret with the service's bearer tokens.
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
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        routing: LlmRouting | None = None,
        tokens: secretsmanager.ISecret | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._check(vpc, vpc_subnets, routing, tokens)
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
        name = resource_name(prefix, "gate")
        if tokens:
            self._allow("secretsmanager:GetSecretValue", tokens.secret_arn)
        if vpc:
            self._allow_interfaces(name)
        self.security_group = self._security_group(vpc, routing) if vpc else None
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            code=code,
            handler=handler,
            role=self.role,
            log_group=self.log_group,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=[self.security_group] if self.security_group else None,
            environment={
                "ARTIFACT_BUCKET": artifact_bucket.bucket_name,
                "METRIC_NAMESPACE": metric_namespace,
                "SERVICE_NAME": service_name,
                "ENVIRONMENT": environment,
                **_golden_variables(routing, tokens),
            },
            **RUNTIME,
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The newest runtime of Lambda is not the newest the gate is tested with; Python 3.13 "
            "is maintained until October 2029.",
        )

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
                (vpc is None and vpc_subnets is not None, "vpc_subnets are given without a vpc."),
                (
                    vpc is not None and _cut_off(vpc, vpc_subnets),
                    "vpc_subnets are isolated and the VPC has no interface endpoints: every call "
                    "to AWS would hang. Add endpoints for ECS, CloudWatch and Secrets Manager.",
                ),
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
        for action, resource in (
            ("ecs:DescribeServiceDeployments", deployments),
            ("ecs:DescribeServiceRevisions", revisions),
        ):
            self._allow(action, resource)
            acknowledge_wildcard(
                self.role, resource, "All rollouts of this one service, whose ids ECS makes."
            )
        for action in WITHOUT_RESOURCES:
            self._allow(action, "*")
        acknowledge_wildcard(
            self.role, "*", f"{', '.join(WITHOUT_RESOURCES)} know no resources; all of them read."
        )

    def _allow_record(self, bucket: s3.IBucket) -> None:
        """ListBucket, because S3 answers 403 instead of 404 for a missing key without it."""
        for action, keys in (("s3:GetObject", READ), ("s3:PutObject", WRITTEN)):
            self._allow(action, *(bucket.arn_for_objects(each) for each in keys))
        self._allow("s3:ListBucket", bucket.bucket_arn)
        for each in dict.fromkeys((*READ, *WRITTEN)):
            acknowledge_wildcard(
                self.role,
                objects_finding(self, bucket, each),
                "Records, releases and golden sets to come, whose names are made later.",
            )

    def _allow_interfaces(self, function_name: str) -> None:
        """Lambda puts the function into the VPC by its role; the function's own code may not."""
        stack = cdk.Stack.of(self)
        anything = stack.format_arn(service="ec2", resource="*", resource_name="*")
        self._allow(SEEING_INTERFACES, "*")
        self._allow(CHANGING_INTERFACES, anything)
        function = stack.format_arn(
            service="lambda",
            resource="function",
            resource_name=function_name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=[*SEEING_INTERFACES, *CHANGING_INTERFACES],
                resources=["*"],
                conditions={"ArnEquals": {"lambda:SourceFunctionArn": function}},
            )
        )
        acknowledge_wildcard(
            self.role,
            anything,
            "Lambda makes network interfaces whose ids nobody knows before, and checks the role "
            "for all of them; the function's own code is denied the same actions.",
        )

    def _security_group(self, vpc: ec2.IVpc, routing: LlmRouting | None) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The gate: AWS, and the two listeners of the load balancer, out",
            allow_all_outbound=False,
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS")
        if routing:
            balancer = ec2.Peer.security_group_id(routing.security_group.security_group_id)
            for what, port in (
                ("users", routing.listener_port),
                ("tests", routing.test_listener_port),
            ):
                group.add_egress_rule(balancer, ec2.Port.tcp(port), f"the listener for {what}")
        return group

    def _allow(self, action: str | Sequence[str], *resources: str) -> None:
        actions = [action] if isinstance(action, str) else list(action)
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))


def _cut_off(vpc: ec2.IVpc, chosen: ec2.SubnetSelection | None) -> bool:
    """Whether a VPC of this app has no way to AWS from the subnets; of others nobody can tell."""
    if not isinstance(vpc, ec2.Vpc):
        return False
    isolated = {subnet.subnet_id for subnet in vpc.isolated_subnets}
    subnets = vpc.select_subnets(**(chosen._values if chosen else {})).subnet_ids
    inside = any(isinstance(child, ec2.InterfaceVpcEndpoint) for child in vpc.node.children)
    return bool(isolated.intersection(subnets)) and not inside


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
