"""A Lambda function of the kit: its role written out, its own log, and its way into a VPC.

Inside a VPC a function never has a public address. It reaches AWS by the way its subnets have: a
NAT gateway, interface endpoints, or, in a dual-stack VPC, an egress-only internet gateway to the
endpoints AWS has for both kinds of addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._findings import acknowledge, acknowledge_rules, acknowledge_wildcard
from llmops_constructs._logs import Kept, own_log
from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.interfaces import DESCRIBED, allow_interfaces, function_group
from llmops_constructs.keys import allow_key
from llmops_constructs.names import resource_name

LONGEST_SECONDS = 900
LEAST_MEMORY_MIB, MOST_MEMORY_MIB = 128, 10240
"""Lambda's quotas "Function timeout" and "Function memory allocation"."""

DUAL_STACK = {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
"""boto3 asks the endpoints that have IPv6 addresses too; the others have none."""


class KitFunction(Construct):
    """Python 3.13 on ARM64 with a role that may write one log and nothing else yet.

    :param name: what it is, e.g. `gate`; the function is `<prefix>-<name>` and its log group
        `/llmops/<prefix>/<name>`.
    :param prefix: what the names of the function and of its log group begin with.
    :param code: pure Python; boto3 is in the runtime.
    :param environment: variables; default: none. They are no place for a secret.
    :param timeout: default: 30 seconds.
    :param vpc, vpc_subnets: default: outside any VPC. The subnets need a way to AWS, see above:
        without one every call would hang.
    :param ipv6: in a dual-stack VPC it reaches AWS by IPv6; default: by IPv4 alone.
    :param group_description: of the security group; default: it names the function.
    :param dead_letters: where events go that failed; for a function that is called asynchronously.
        Default: none, for a function whose caller waits for the answer.
    :param concurrency: instances that are reserved for it and that it cannot exceed. Default:
        none; a reserve is taken from the account's other functions, and an account whose limit
        is small cannot give one.
    :param encryption_key: of the log and the variables; default: CloudWatch Logs' and Lambda's own.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        function = llm.KitFunction(
            stack,
            "Sweep",
            name="sweep",
            prefix="handbook-prod",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            description="Removes what nobody asks for any more",
        )
        function.allow("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:jobs")
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        prefix: str,
        code: lambda_.Code,
        handler: str,
        description: str,
        environment: Mapping[str, str] | None = None,
        timeout: cdk.Duration | None = None,
        memory_mib: int = 256,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        ipv6: bool = False,
        group_description: str | None = None,
        dead_letters: sqs.IQueue | None = None,
        concurrency: int | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        seconds = timeout.to_seconds() if timeout else 30
        check(self, [*size_rules(seconds, memory_mib), *placement(vpc, vpc_subnets)])
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, name, kept)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        self.function_name = resource_name(prefix, name)
        said = group_description or f"The function {name}: AWS, out"
        self.security_group = self._security_group(vpc, ipv6, said) if vpc else None
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=self.function_name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=code,
            handler=handler,
            timeout=cdk.Duration.seconds(seconds),
            memory_size=memory_mib,
            role=self.role,
            log_group=self.log_group,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            ipv6_allowed_for_dual_stack=True if ipv6 else None,
            security_groups=[self.security_group] if self.security_group else None,
            dead_letter_queue=dead_letters,
            reserved_concurrent_executions=concurrency,
            environment={**(environment or {}), **(DUAL_STACK if ipv6 else {})},
            environment_encryption=encryption_key,
        )
        allow_key(self.role, encryption_key, "lambda")
        self._acknowledge(vpc is None, dead_letters is None, concurrency is None)

    def allow(self, action: str | Sequence[str], *resources: str) -> None:
        """Lets the function's code do `action`, or each of several, to `resources`."""
        actions = [action] if isinstance(action, str) else list(action)
        self.role.add_to_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))

    def _security_group(self, vpc: ec2.IVpc, ipv6: bool, description: str) -> ec2.SecurityGroup:
        allow_interfaces(self.role, self.function_name)
        acknowledge_wildcard(self.role, "*", DESCRIBED)
        return function_group(self, vpc, description, whom="AWS", ipv6=ipv6)

    def _acknowledge(self, outside_vpc: bool, waited_for: bool, unreserved: bool) -> None:
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The newest runtime of Lambda is not the newest the code is tested with; Python 3.13 "
            "is maintained until October 2029.",
        )
        reasons = {
            "LambdaInsideVPC": (
                outside_vpc,
                "It calls AWS's own endpoints only, by its role and TLS; nothing private is there "
                "to reach from inside.",
            ),
            "LambdaDLQ": (
                waited_for,
                "It is called synchronously: its caller sees the failure and calls again. A "
                "dead-letter queue holds events of asynchronous calls only.",
            ),
            "LambdaConcurrency": (
                unreserved,
                "One AWS service calls it, a few times a minute at most; a reserve would be taken "
                "from the account's other functions.",
            ),
        }
        acknowledge_rules(self.function, reasons)


def placement(vpc: ec2.IVpc | None, chosen: ec2.SubnetSelection | None) -> list[Rule]:
    """What must hold of where a function is put, for a construct that has more rules to check."""
    return [
        (vpc is None and chosen is not None, "vpc_subnets are given without a vpc."),
        (
            vpc is not None and _cut_off(vpc, chosen),
            "vpc_subnets are isolated and the VPC has no interface endpoints: every call to AWS "
            "would hang. Add endpoints for the services that the function calls.",
        ),
    ]


def size_rules(seconds: float, memory_mib: int) -> list[Rule]:
    """How long a function may run, and how much memory it may have."""
    return [
        (
            outside(seconds, 1, LONGEST_SECONDS),
            f"timeout is {seconds:g} s; Lambda allows 1 to {LONGEST_SECONDS}.",
        ),
        (
            outside(memory_mib, LEAST_MEMORY_MIB, MOST_MEMORY_MIB),
            f"memory_mib is {memory_mib}; Lambda allows {LEAST_MEMORY_MIB} to {MOST_MEMORY_MIB}.",
        ),
    ]


def _cut_off(vpc: ec2.IVpc, chosen: ec2.SubnetSelection | None) -> bool:
    """Whether a VPC of this app has no way to AWS from the subnets; of others nobody can tell."""
    if not isinstance(vpc, ec2.Vpc):
        return False
    isolated = {subnet.subnet_id for subnet in vpc.isolated_subnets}
    subnets = vpc.select_subnets(**(chosen._values if chosen else {})).subnet_ids
    inside = any(isinstance(child, ec2.InterfaceVpcEndpoint) for child in vpc.node.children)
    return bool(isolated.intersection(subnets)) and not inside
