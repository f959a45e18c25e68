"""A service on Fargate whose releases ECS moves as canaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from llmops_constructs import rollout
from llmops_constructs._findings import acknowledge
from llmops_constructs._logs import Kept, own_log
from llmops_constructs.credentials import Credentials
from llmops_constructs.database import PostgresDatabase
from llmops_constructs.fargate import (
    Size,
    Tasks,
    add_container,
    cluster_of,
    group_of,
    let_in,
    let_through,
    reach_database,
    service_of,
    task_of,
)
from llmops_constructs.roles import (
    allow_objects,
    execution_role,
    hook_role,
    infrastructure_role,
    policy_of,
    task_role,
)
from llmops_constructs.rollout import Canary, LambdaHook
from llmops_constructs.routing import Routing
from llmops_constructs.scaling import Scaling, scale_by_requests, scaling_rules
from llmops_constructs.spot import SpotShare, spot_rules
from llmops_constructs.traces import ENDPOINT, add_collector, collector_rules

CONTAINER = "service"


class FargateLlmService(Construct):
    """Cluster, task definition and service; deployed by ECS as CANARY, rolled back on alarms.

    The service names its task definition by family only, so that an infrastructure deploy keeps
    the release that runs: ECS takes the family's newest revision. The image and the release are
    therefore parameters of the stack, not constants of the template.

    `desired_count` is in the template although ECS's canary guides leave it out: without it
    CloudFormation starts one task, and only a service with autoscaling has another owner of the
    number. An infrastructure deploy sets the number again; releases never send it.

    :param prefix: name of the cluster and of the task family.
    :param vpc_subnets: private ones, or public ones with `assign_public_ip`.
    :param image_uri: by digest; with a tag two tasks of one revision may differ.
    :param routing: needed, like `canary` and `alarms`; the CDK would accept their absence.
    :param hook: default: only alarms and operators end a canary.
    :param circuit_breaker: refused: it belongs to rolling deployments.
    :param repository: default: none; the image is public.
    :param existing_cluster: one that may use FARGATE, and FARGATE_SPOT for `spot`. Default: a new
        one, named `prefix`, with Container Insights and both of them.
    :param database: default: none. With one the container gets DATABASE_HOST, _PORT, _NAME, _USER
        and _PASSWORD, and may connect.
    :param database_secret: JSON with `username` and `password`. Default: the database's own.
    :param live_credentials: the container gets the secret's ARN in DATABASE_SECRET instead of a
        user and a password, and may read it while it runs: for a secret that rotates.
    :param token_secret: bearer tokens; the container gets the ARN in BEARER_TOKENS_SECRET and reads
        them while it runs. Default: none; give BEARER_TOKENS by `secrets`.
    :param environment: more variables of the container; HOST and PORT are always set.
    :param secrets: more secrets of the container, injected by ECS.
    :param collector_image: an image of the AWS Distro for OpenTelemetry, pinned, e.g.
        `public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3`: it runs beside the service
        and sends its traces to X-Ray. Default: no traces.
    :param collector_repository: where that image is, if it is in a registry of the account.
    :param container_port: where the container listens; also its variable PORT.
    :param cpu: units, 1024 of which are one virtual processor.
    :param desired_count: tasks of a revision; left out with `scaling`. None: one at first, and
        then whatever somebody else sets.
    :param scaling: default: the number of tasks stays as it is. An existing cluster needs
        Container Insights for it.
    :param spot: default: no task on Fargate Spot.
    :param cpu_architecture: of the image; default: ARM64, a fifth cheaper than x86-64.
    :param assign_public_ip: default: tasks have no public address.
    :param encryption_key: of the log; its policy must let CloudWatch Logs in. Default: CloudWatch
        Logs' own key.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        network = llm.Network(stack, "Network")
        routing = llm.LlmRouting(
            stack, "Routing", vpc=network.vpc, vpc_subnets=network.service_subnets,
            container_port=8080, test_listener_port=8081,
        )
        alarms = llm.ServiceAlarms(stack, "Alarms", prefix="handbook-prod", routing=routing)
        llm.FargateLlmService(
            stack, "Service", prefix="handbook-prod", service_name="handbook",
            vpc=network.vpc, vpc_subnets=network.service_subnets,
            image_uri="public.ecr.aws/example/handbook:1.0.0",
            routing=routing.routing, alarms=alarms.alarms,
            canary=llm.Canary(percent=10, bake_minutes=5, final_bake_minutes=15),
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        service_name: str,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        image_uri: str,
        routing: Routing | None = None,
        canary: Canary | None = None,
        alarms: Sequence[cloudwatch.IAlarm] = (),
        hook: LambdaHook | None = None,
        circuit_breaker: ecs.DeploymentCircuitBreaker | None = None,
        repository: ecr.IRepository | None = None,
        existing_cluster: ecs.ICluster | None = None,
        database: PostgresDatabase | None = None,
        database_secret: secretsmanager.ISecret | None = None,
        live_credentials: bool = False,
        token_secret: secretsmanager.ISecret | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, ecs.Secret] | None = None,
        collector_image: str | None = None,
        collector_repository: ecr.IRepository | None = None,
        container_port: int = 8080,
        cpu: int = 512,
        memory_mib: int = 1024,
        desired_count: int | None = 2,
        scaling: Scaling | None = None,
        spot: SpotShare | None = None,
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
        own = [
            *self._credentials.rules(),
            *collector_rules(collector_image, memory_mib),
            *scaling_rules(scaling),
            *spot_rules(spot, least_base=1),
        ]
        asked = rollout.Asked(canary, routing, circuit_breaker, len(alarms), hook)
        accepted, routing = rollout.accept(self, asked, own)
        self.container_name, self._port = CONTAINER, container_port
        kept = Kept(log_retention, encryption_key, removal_policy)
        self.log_group = own_log(self, prefix, "service", kept)
        self.task_role = task_role(self, "TaskRole", "What the service itself may do")
        self.execution_role = execution_role(
            self, repository, collector_repository, encryption_key=encryption_key
        )
        self.task_definition = task_of(
            self,
            prefix,
            Size(cpu, memory_mib, cpu_architecture),
            execution_role=self.execution_role,
            task_role=self.task_role,
        )
        self._add_containers(image_uri, environment or {}, secrets or {}, collector_image)
        self.cluster = cluster_of(self, prefix, vpc, existing_cluster)
        self.security_group = group_of(
            self, vpc, "The tasks: requests from the load balancer in, HTTPS and the database out"
        )
        tasks = Tasks(vpc_subnets, assign_public_ip, spot, None if scaling else desired_count)
        self.service = self._service(service_name, tasks, accepted, alarms)
        self._open(routing, database)
        self._attach(routing)
        if hook:
            self._ask(hook)
        if scaling:
            scale_by_requests(self, prefix, self.service, routing, scaling)

    def connect_to(self, group: ec2.ISecurityGroup, port: int, what: str) -> None:
        """Lets the tasks connect to what is behind a security group; `what` is one word."""
        source, target = self.security_group.security_group_id, group.security_group_id
        self._after(*let_through(self, what, source=source, target=target, port=port))

    def allow_objects(self, bucket: s3.IBucket, keys: str) -> None:
        """Lets the service read the objects of a bucket whose keys match, e.g. `corpus/*`."""
        allow_objects(self.task_role, bucket, keys)

    def _add_containers(
        self,
        image_uri: str,
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
        collector: str | None,
    ) -> None:
        variables = {
            "HOST": "0.0.0.0",  # noqa: S104
            "PORT": str(self._port),
            **self._credentials.variables(),
            **({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT} if collector else {}),
        }
        add_container(
            self.task_definition,
            CONTAINER,
            image_uri,
            self.log_group,
            environment={**variables, **environment},
            secrets={**self._credentials.injected(), **secrets},
            port=self._port,
        )
        if collector:
            add_collector(self.task_definition, collector, self.log_group, self.task_role)
        self._credentials.allow(self.task_role)

    def _service(
        self,
        name: str,
        tasks: Tasks,
        canary: Canary,
        alarms: Sequence[cloudwatch.IAlarm],
    ) -> ecs.FargateService:
        service = service_of(
            self,
            name,
            tasks,
            cluster=self.cluster,
            task=self.task_definition,
            group=self.security_group,
            task_definition_revision=ecs.TaskDefinitionRevision.LATEST,
            health_check_grace_period=cdk.Duration.seconds(60),
            deployment_strategy=ecs.DeploymentStrategy.CANARY,
            canary_configuration=ecs.TrafficShiftConfig(
                step_percent=canary.percent,
                step_bake_time=cdk.Duration.minutes(canary.bake_minutes),
            ),
            bake_time=cdk.Duration.minutes(canary.final_bake_minutes),
            deployment_alarms=ecs.DeploymentAlarmConfig(
                alarm_names=[alarm.alarm_name for alarm in alarms],
                behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM,
            ),
        )
        acknowledge(
            service,
            "@aws-cdk/aws-ecs:shouldUseCircuitBreaker",
            "AWS documents the circuit breaker for rolling deployments only; this one is CANARY.",
        )
        return service

    def _open(self, routing: Routing, database: PostgresDatabase | None) -> None:
        """Opens the way in, from the load balancer, and the way to the database."""
        source, target = routing.security_group_id, self.security_group.security_group_id
        self._after(
            policy_of(self.execution_role),
            let_in(self, "FromLoadBalancer", source=source, target=target, port=self._port),
            *reach_database(self, self.security_group, database),
        )

    def _attach(self, routing: Routing) -> None:
        """Tells ECS the two target groups and the two rules."""
        role = infrastructure_role(self, routing)
        self._cfn.load_balancers = [
            ecs.CfnService.LoadBalancerProperty(
                container_name=CONTAINER,
                container_port=self._port,
                target_group_arn=routing.target_group_arn,
                advanced_configuration=ecs.CfnService.AdvancedConfigurationProperty(
                    alternate_target_group_arn=str(routing.alternate_target_group_arn),
                    production_listener_rule=routing.production_rule_arn,
                    test_listener_rule=routing.test_rule_arn,
                    role_arn=role.role_arn,
                ),
            )
        ]
        self._after(policy_of(role), routing.ready)

    def _ask(self, hook: LambdaHook) -> None:
        """Adds the hook: the CDK's own cannot name the stage before a step of a canary."""
        role = hook_role(self, hook)
        self._cfn.add_property_override(
            "DeploymentConfiguration.LifecycleHooks", [hook.render(role.role_arn)]
        )
        self._after(policy_of(role))

    def _after(self, *dependencies: IDependable) -> None:
        """The first deployment starts as soon as the service exists: its roles must be complete."""
        self.service.node.add_dependency(*dependencies)

    @property
    def _cfn(self) -> ecs.CfnService:
        """The service itself, beside the resources the CDK groups with it."""
        resource = self.service.node.find_child("Service")
        assert isinstance(resource, ecs.CfnService)
        return resource
