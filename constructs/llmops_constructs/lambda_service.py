"""A service on Lambda: nothing runs, and nothing but storage is paid for, while nobody asks.

A published version of a function never changes; the alias says which version answers. A version is
published when the template of the function changes, and, as parameters are no part of a template,
when `release` has another value: CloudFormation replaces a version whose description changes.

In a VPC without a NAT gateway a function goes out by IPv6, to hosts that have an IPv6 address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IDependable

from llmops_constructs._findings import acknowledge, acknowledge_rules, acknowledge_wildcard
from llmops_constructs._lambda_rules import Containers, Place, jobs_rules
from llmops_constructs._logs import Kept, own_log
from llmops_constructs._validation import check
from llmops_constructs.credentials import Credentials
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.domain import Domain
from llmops_constructs.fargate import let_through, reach_database
from llmops_constructs.functions import DUAL_STACK
from llmops_constructs.http_api import FunctionApi
from llmops_constructs.interfaces import DESCRIBED, allow_interfaces, function_group
from llmops_constructs.jobs_queue import JobsQueue
from llmops_constructs.keys import allow_key
from llmops_constructs.names import resource_name
from llmops_constructs.roles import allow_objects
from llmops_constructs.secret_variables import SecretVariable, allow_secrets, places
from llmops_constructs.waf import WebAcl

HANDLER = "llm_service.lambda_function.handler"
ALIAS = "live"
KEEP_WARM = {"llmops": "keep-warm"}
"""The event that the handler answers at once, without a look at the database."""
BATCH = 5
"""Jobs that one invocation is given at most; it does them at the same time."""


class LambdaLlmService(Construct):
    """A function from the zip bundle, its versions behind the alias `live`, and an HTTP API.

    The service checks bearer tokens itself; the API has no authorizer. AWS WAF cannot protect an
    HTTP API, and the API gives up after 30 seconds: who needs either takes `FargateLlmService`.
    Answers come in one piece: Lambda streams from other runtimes than Python's only.

    :param prefix: the function is `<prefix>-service`, its log `/llmops/<prefix>/service`.
    :param code: the bundle: the service and its dependencies, of the function's architecture.
    :param release: the release that `environment` names, at most 200 characters and known at
        deployment at the latest; another one publishes a version. Default: a version is published
        when the template changes.
    :param vpc, vpc_subnets: where the database is. Default: outside any VPC.
    :param ipv6: the VPC is dual-stack and has no NAT gateway: the function goes out by IPv6 and
        asks AWS's dual-stack endpoints. Default: by IPv4.
    :param architecture: of the bundle; default: ARM64, a fifth cheaper than x86-64.
    :param memory_mib: 128 to 10240; 1769 of them are one virtual processor.
    :param timeout: 1 to 900 seconds; beyond 30 only jobs have the time.
    :param database: default: none. With one the function gets DATABASE_HOST, _PORT, _NAME and
        DATABASE_SECRET, which it may read while it runs, and may connect. A container of it keeps
        up to three connections.
    :param database_secret: JSON with `username` and `password`. Default: the database's own.
    :param token_secret: bearer tokens; the function gets the ARN in BEARER_TOKENS_SECRET and reads
        them while it runs. Default: none.
    :param environment: more variables; they are no place for a secret.
    :param secrets: variables whose values the function reads from Secrets Manager when a container
        of it starts, e.g. OPENAI_API_KEY. Default: none.
    :param jobs: a queue whose messages the function is given, in batches that may be done in part.
        Default: none; a job that outlives its request is lost.
    :param keep_warm_minutes: a call every so many minutes keeps one container, without touching
        the database. Default: 0, none: the first request after a while waits for a cold start.
    :param provisioned: containers of the live version that are always there. Default: none.
    :param concurrency: containers that are reserved for it and that it cannot exceed. Default:
        none; a reserve is taken from the account's other functions.
    :param dead_letters: where events go that were sent asynchronously, by somebody else's
        doing, and failed. Default: nowhere: those of the kit are not worth keeping.
    :param domain, requests_per_second, burst, web_acl: as of `FunctionApi`.
    :param encryption_key: of the logs; its policy must let CloudWatch Logs in. Default: CloudWatch
        Logs' own key.
    :param removal_policy: of the logs; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        service = llm.LambdaLlmService(
            stack,
            "Service",
            prefix="handbook-prod",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            keep_warm_minutes=5,
        )
        cdk.CfnOutput(stack, "Url", value=service.url)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        code: lambda_.Code,
        handler: str = HANDLER,
        release: str | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        ipv6: bool = False,
        architecture: lambda_.Architecture | None = None,
        memory_mib: int = 1024,
        timeout: cdk.Duration | None = None,
        database: PostgresDatabase | None = None,
        database_secret: secretsmanager.ISecret | None = None,
        token_secret: secretsmanager.ISecret | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, SecretVariable] | None = None,
        jobs: JobsQueue | None = None,
        keep_warm_minutes: int = 0,
        provisioned: int = 0,
        concurrency: int | None = None,
        dead_letters: sqs.IQueue | None = None,
        domain: Domain | None = None,
        requests_per_second: float = 50,
        burst: int = 100,
        web_acl: WebAcl | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._credentials = Credentials(
            database, database_secret, live=database is not None, token_secret=token_secret
        )
        seconds = int(timeout.to_seconds()) if timeout else 60
        containers = Containers(memory_mib, seconds, keep_warm_minutes, provisioned, concurrency)
        place = Place(vpc, vpc_subnets, ipv6)
        check(
            self,
            [
                *place.rules(database),
                *self._credentials.rules(),
                *containers.rules(),
                *jobs_rules(jobs, database, seconds),
                (release == "", "release is empty: leave it out, or name one."),
            ],
        )
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, "service", kept)
        self.function_name = resource_name(prefix, "service")
        self.role = self._role(vpc is not None, secrets or {}, jobs)
        self.security_group = self._security_group(vpc, ipv6) if vpc else None
        variables = {**self._variables(ipv6, secrets or {}, jobs), **(environment or {})}
        self.function = self._make(
            place,
            containers,
            code=code,
            handler=handler,
            architecture=architecture or lambda_.Architecture.ARM_64,
            dead_letter_queue=dead_letters,
            environment=variables,
            current_version_options=_version(release),
        )
        self._acknowledge(vpc is None, dead_letters is None, concurrency is None)
        if self.security_group:
            self._after(reach_database(self, self.security_group, database))
        self.version = self.function.current_version
        self.alias = self._alias(provisioned)
        self.front = FunctionApi(
            self,
            "Api",
            prefix=prefix,
            function=self.alias,
            domain=domain,
            requests_per_second=requests_per_second,
            burst=burst,
            web_acl=web_acl,
            encryption_key=encryption_key,
            log_retention=log_retention,
            removal_policy=removal_policy,
        )
        self.api, self.url = self.front.api, self.front.url
        if keep_warm_minutes:
            self._keep_warm(prefix, keep_warm_minutes)
        if jobs:
            self._take(jobs)

    def allow_objects(self, bucket: s3.IBucket, keys: str) -> None:
        """Lets the service read the objects of a bucket whose keys match, e.g. `corpus/*`."""
        allow_objects(self.role, bucket, keys)
        allow_key(self.role, bucket.encryption_key, "s3")

    def connect_to(self, group: ec2.ISecurityGroup, port: int, what: str) -> None:
        """Lets the function open connections to a port of another security group."""
        if self.security_group is None:
            raise LookupError(f"{self.node.path}: {what} is in a VPC, and the function in none.")
        ways = let_through(
            self,
            what.title().replace(" ", ""),
            source=self.security_group.security_group_id,
            target=group.security_group_id,
            port=port,
        )
        self._after(ways)

    def _after(self, ways: Sequence[IDependable]) -> None:
        """The function may be called as soon as it is there: what it needs comes first."""
        self.function.node.add_dependency(*ways)

    def _make(self, place: Place, containers: Containers, **asked: Any) -> lambda_.Function:
        group = self.security_group
        return lambda_.Function(
            self,
            "Function",
            **asked,
            function_name=self.function_name,
            description="The service: answers requests of its HTTP API",
            runtime=lambda_.Runtime.PYTHON_3_13,
            timeout=cdk.Duration.seconds(containers.seconds),
            memory_size=containers.memory_mib,
            reserved_concurrent_executions=containers.concurrency,
            role=self.role,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            vpc=place.vpc,
            vpc_subnets=place.vpc_subnets,
            ipv6_allowed_for_dual_stack=True if place.ipv6 else None,
            security_groups=[group] if group else None,
        )

    def _variables(
        self, ipv6: bool, secrets: Mapping[str, SecretVariable], jobs: JobsQueue | None
    ) -> dict[str, str]:
        return {
            **(DUAL_STACK if ipv6 else {}),
            **self._credentials.variables(),
            **(jobs.variables if jobs else {}),
            **places(self, secrets),
        }

    def _role(
        self, in_vpc: bool, secrets: Mapping[str, SecretVariable], jobs: JobsQueue | None
    ) -> iam.Role:
        """Writes one log, reads what it was given; X-Ray's two actions are the CDK's to add."""
        role = iam.Role(
            self,
            "Role",
            description="What the service itself may do",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        )
        self.log_group.grant_write(role)
        self._credentials.allow(role)
        allow_secrets(role, secrets)
        if in_vpc:
            allow_interfaces(role, self.function_name)
        if jobs:
            jobs.grant_send(role)
            jobs.grant_receive(role)
        acknowledge_wildcard(
            role, "*", f"Sending to X-Ray knows no resources. {DESCRIBED if in_vpc else ''}".strip()
        )
        return role

    def _security_group(self, vpc: ec2.IVpc, ipv6: bool) -> ec2.SecurityGroup:
        said = "The function: HTTPS and the database out"
        return function_group(self, vpc, said, whom="AWS and model providers", ipv6=ipv6)

    def _alias(self, provisioned: int) -> lambda_.Alias:
        return lambda_.Alias(
            self,
            "Alias",
            alias_name=ALIAS,
            version=self.version,
            description="The version that answers",
            provisioned_concurrent_executions=provisioned or None,
        )

    def _keep_warm(self, prefix: str, minutes: int) -> None:
        """One that is late is of no use, and the next one comes anyway: nothing is tried again."""
        age = cdk.Duration.minutes(1)
        self.alias.configure_async_invoke(retry_attempts=0, max_event_age=age)
        events.Rule(
            self,
            "KeepWarm",
            rule_name=resource_name(prefix, "keep-warm"),
            description="Keeps one container of the service from being taken away",
            schedule=events.Schedule.rate(cdk.Duration.minutes(minutes)),
            targets=[
                targets.LambdaFunction(
                    self.alias,
                    event=events.RuleTargetInput.from_object(KEEP_WARM),
                    retry_attempts=0,
                    max_event_age=age,
                )
            ],
        )

    def _take(self, jobs: JobsQueue) -> None:
        self.alias.add_event_source_mapping(
            "Jobs",
            event_source_arn=jobs.queue.queue_arn,
            batch_size=BATCH,
            report_batch_item_failures=True,
        )

    def _acknowledge(self, outside_vpc: bool, kept_nowhere: bool, unreserved: bool) -> None:
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The newest runtime of Lambda is not the newest the bundle is built and tested for; "
            "Python 3.13 is maintained until October 2029.",
        )
        reasons = {
            "LambdaInsideVPC": (
                outside_vpc,
                "Nothing private is there to reach from inside: it was given no database. It calls "
                "AWS and model providers by TLS.",
            ),
            "LambdaDLQ": (
                kept_nowhere,
                "Requests and jobs wait for the answer: the API tells the client, the queue has "
                "dead letters of its own. The one asynchronous event keeps a container warm, and "
                "one that failed is of no use to anybody.",
            ),
            "LambdaConcurrency": (
                unreserved,
                "The API's throttle bounds how many requests arrive at once; a reserve would be "
                "taken from the account's other functions.",
            ),
        }
        acknowledge_rules(self.function, reasons)


def _version(release: str | None) -> lambda_.VersionOptions:
    """How versions are published: each says its release, and stays to go back to."""
    return lambda_.VersionOptions(
        description=release and f"Release {release}", removal_policy=cdk.RemovalPolicy.RETAIN
    )
