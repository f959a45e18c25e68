"""Workers: a queue of job ids, and the tasks that do the jobs.

The numbers of queue and worker are one: the queue hides a message for `visibility_seconds`, the
worker hides it again while the job shows signs of life, and a job that was begun `receives` times
ends `failed` while its message goes to the dead letters. The service that takes the jobs needs the
same numbers, see `variables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from llmops_constructs._logs import Kept, own_log
from llmops_constructs._validation import Rule, check
from llmops_constructs.backlog import Backlog, WorkerScaling, scale_by_age, worker_rules
from llmops_constructs.credentials import Credentials
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.fargate import (
    Size,
    Tasks,
    add_container,
    cluster_of,
    group_of,
    let_through,
    reach_database,
    rolling_service,
    task_of,
)
from llmops_constructs.jobs_queue import JobsQueue
from llmops_constructs.names import resource_name
from llmops_constructs.roles import allow_objects, execution_role, policy_of, task_role
from llmops_constructs.spot import ALL_SPOT, SpotShare, spot_rules

CONTAINER = "worker"
COMMAND = ("python", "-m", "llm_service", "worker")
WORKING = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:SendMessage",
)
"""A worker that is told to stop sends what it had begun back anew."""


class WorkerService(Construct):
    """An SQS queue with dead letters, and workers on Fargate that follow what waits in it.

    Workers run on Spot: what one leaves, another begins again. They are replaced task by task, and
    ECS takes a deployment back whose tasks do not stay up.

    :param prefix: what the names of the queue, the service and the task family begin with.
    :param vpc_subnets: private ones, or public ones with `assign_public_ip`.
    :param image_uri: by digest; the service's own image.
    :param repository: default: none; the image is public.
    :param existing_queue: used instead of a new one; its redrive policy is its owner's, and there
        are no `dead_letters` then. It needs `receives` and `visibility_seconds` as given here.
    :param existing_cluster: one with Container Insights that may use FARGATE_SPOT, e.g. that of
        `FargateLlmService`. Default: a new one, named `<prefix>-workers`.
    :param database: where the jobs are; the kit's own worker needs one. Default: none.
    :param database_secret, live_credentials, token_secret: as of `FargateLlmService`.
    :param environment: more variables of the container; the JOBS_ ones are always set.
    :param secrets: more secrets of the container, injected by ECS.
    :param command: default: that of the service's image for a worker.
    :param visibility_seconds: for which a message is hidden at a time (1 to 43200).
    :param receives: how often a job is begun before it has failed (1 to 1000).
    :param concurrency: jobs that one worker does at once.
    :param cpu: units, 1024 of which are one virtual processor.
    :param scaling: default: no worker while nothing waits, at most 4.
    :param spot: default: all on Fargate Spot. `None`: none.
    :param cpu_architecture: of the image; default: ARM64.
    :param encryption_key: of the queues and the log; its policy must let CloudWatch Logs in.
        Default: keys of SQS's and CloudWatch Logs' own.
    :param removal_policy: of the queues and the log; default: kept when the stack goes.

    Example::

        network = llm.Network(stack, "Network")
        workers = llm.WorkerService(
            stack,
            "Workers",
            prefix="handbook-prod",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            image_uri="public.ecr.aws/example/handbook:1.0.0",
            scaling=llm.WorkerScaling(maximum=8, age_seconds=120),
        )
        print(workers.variables["JOBS_RECEIVES"])
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        image_uri: str,
        repository: ecr.IRepository | None = None,
        existing_queue: sqs.IQueue | None = None,
        existing_cluster: ecs.ICluster | None = None,
        database: PostgresDatabase | None = None,
        database_secret: secretsmanager.ISecret | None = None,
        live_credentials: bool = False,
        token_secret: secretsmanager.ISecret | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, ecs.Secret] | None = None,
        command: Sequence[str] = COMMAND,
        visibility_seconds: int = 60,
        receives: int = 3,
        concurrency: int = 4,
        cpu: int = 512,
        memory_mib: int = 1024,
        scaling: WorkerScaling = WorkerScaling(),  # noqa: B008 - frozen
        spot: SpotShare | None = ALL_SPOT,
        cpu_architecture: ecs.CpuArchitecture | None = None,
        assign_public_ip: bool = False,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._credentials = Credentials(
            database, database_secret, live=live_credentials, token_secret=token_secret
        )
        self._each = concurrency
        check(self, [*self._rules(), *worker_rules(scaling), *spot_rules(spot, least_base=0)])
        self._jobs = JobsQueue(
            self,
            "Jobs",
            prefix=prefix,
            visibility_seconds=visibility_seconds,
            receives=receives,
            existing_queue=existing_queue,
            encryption_key=encryption_key,
            removal_policy=removal_policy,
        )
        self.queue, self.dead_letters = self._jobs.queue, self._jobs.dead_letters
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, "workers", kept)
        self.task_role = task_role(self, "TaskRole", "What a worker itself may do")
        self.execution_role = execution_role(self, repository, encryption_key=encryption_key)
        self._jobs.allow(self.task_role, WORKING)
        self._credentials.allow(self.task_role)
        name = resource_name(prefix, "workers")
        self.task_definition = task_of(
            self,
            name,
            Size(cpu, memory_mib, cpu_architecture),
            execution_role=self.execution_role,
            task_role=self.task_role,
        )
        self._add_container(image_uri, environment or {}, secrets or {}, command)
        self.cluster = cluster_of(self, name, vpc, existing_cluster)
        self.security_group = group_of(self, vpc, "The workers: HTTPS and the database out")
        tasks = Tasks(vpc_subnets, assign_public_ip, spot, None)
        self.service = self._service(name, tasks, database)
        backlog = Backlog(queue=self.queue, service=self.service, each=concurrency)
        self.scaling = scale_by_age(self, prefix, backlog, scaling)

    @property
    def variables(self) -> dict[str, str]:
        """What a service that sends jobs here is told."""
        return self._jobs.variables

    def grant_send(self, role: iam.Role) -> None:
        """Lets a role queue jobs."""
        self._jobs.grant_send(role)

    def connect_to(self, group: ec2.ISecurityGroup, port: int, what: str) -> None:
        """Lets the tasks connect to what is behind a security group; `what` is one word."""
        source, target = self.security_group.security_group_id, group.security_group_id
        ways = let_through(self, what, source=source, target=target, port=port)
        self.service.node.add_dependency(*ways)

    def allow_objects(self, bucket: s3.IBucket, keys: str) -> None:
        """Lets the workers read the objects of a bucket whose keys match, e.g. `corpus/*`."""
        allow_objects(self.task_role, bucket, keys)

    def _rules(self) -> list[Rule]:
        return [
            *self._credentials.rules(),
            (self._each < 1, f"concurrency is {self._each}; it must be at least 1."),
        ]

    def _service(
        self, name: str, tasks: Tasks, database: PostgresDatabase | None
    ) -> ecs.FargateService:
        service = rolling_service(
            self,
            name,
            tasks,
            cluster=self.cluster,
            task=self.task_definition,
            group=self.security_group,
        )
        ways = reach_database(self, self.security_group, database)
        service.node.add_dependency(policy_of(self.execution_role), *ways)
        return service

    def _add_container(
        self,
        image_uri: str,
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
        command: Sequence[str],
    ) -> None:
        variables = {
            **self.variables,
            "JOBS_CONCURRENCY": str(self._each),
            **self._credentials.variables(),
        }
        add_container(
            self.task_definition,
            CONTAINER,
            image_uri,
            self.log_group,
            environment={**variables, **environment},
            secrets={**self._credentials.injected(), **secrets},
            command=command,
        )
