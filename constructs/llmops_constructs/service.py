"""A service on Fargate whose releases ECS moves as canaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from llmops_constructs import rollout
from llmops_constructs._findings import acknowledge, acknowledge_wildcard, objects_finding
from llmops_constructs.database import PORT as DATABASE_PORT
from llmops_constructs.database import Database
from llmops_constructs.names import log_group_name
from llmops_constructs.roles import (
    execution_role,
    hook_role,
    infrastructure_role,
    policy_of,
    task_role,
)
from llmops_constructs.rollout import Canary, LambdaHook
from llmops_constructs.routing import Routing

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
    :param vpc_subnets: private ones; tasks get no public address.
    :param image_uri: by digest; with a tag two tasks of one revision may differ.
    :param routing: needed, like `canary` and `alarms`; the CDK would accept their absence.
    :param hook: default: only alarms and operators end a canary.
    :param circuit_breaker: refused: it belongs to rolling deployments.
    :param repository: default: none; the image is public.
    :param database: default: none. With one the container gets DATABASE_HOST, _PORT, _NAME, _USER
        and _PASSWORD, and may connect.
    :param environment: more variables of the container; HOST and PORT are always set.
    :param secrets: more secrets of the container, injected by ECS.
    :param container_port: where the container listens; also its variable PORT.
    :param cpu: units, 1024 of which are one virtual processor.
    :param desired_count: tasks of a revision. None leaves the number to autoscaling.
    :param cpu_architecture: default: x86_64.
    :param removal_policy: of the log; default: kept when the stack goes.
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
        database: Database | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, ecs.Secret] | None = None,
        container_port: int = 8080,
        cpu: int = 512,
        memory_mib: int = 1024,
        desired_count: int | None = 2,
        cpu_architecture: ecs.CpuArchitecture | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        accepted, routing = rollout.accept(
            self,
            canary=canary,
            routing=routing,
            circuit_breaker=circuit_breaker,
            alarms=len(alarms),
            hook=hook,
        )
        self.container_name = CONTAINER
        self._database = database
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=log_group_name(prefix, "service"),
            retention=log_retention,
            removal_policy=removal_policy,
        )
        self.task_role = task_role(self, "TaskRole", "What the service itself may do")
        self.execution_role = execution_role(self, repository)
        self.task_definition = self._task(prefix, cpu, memory_mib, cpu_architecture)
        self._add_container(image_uri, container_port, environment or {}, secrets or {})
        self.cluster = self._cluster(prefix, vpc)
        self.security_group = self._security_group(vpc)
        self.service = self._service(service_name, vpc_subnets, desired_count, accepted, alarms)
        self._after(policy_of(self.execution_role))
        self._let_in(routing, container_port)
        self._attach(routing, container_port)
        if hook:
            self._ask(hook)

    def allow_objects(self, bucket: s3.IBucket, keys: str) -> None:
        """Lets the service read the objects of a bucket whose keys match, e.g. `corpus/*`."""
        self.task_role.add_to_policy(
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[bucket.arn_for_objects(keys)])
        )
        acknowledge_wildcard(
            self.task_role, objects_finding(self, bucket, keys), "Objects of releases to come."
        )

    def _add_container(
        self,
        image_uri: str,
        port: int,
        environment: Mapping[str, str],
        secrets: Mapping[str, ecs.Secret],
    ) -> None:
        variables = {"HOST": "0.0.0.0", "PORT": str(port)}  # noqa: S104
        injected: dict[str, ecs.Secret] = {}
        if self._database:
            variables |= {
                "DATABASE_HOST": self._database.host,
                "DATABASE_PORT": self._database.port,
                "DATABASE_NAME": self._database.database_name,
            }
            for variable, field in (
                ("DATABASE_USER", "username"),
                ("DATABASE_PASSWORD", "password"),
            ):
                injected[variable] = ecs.Secret.from_secrets_manager(self._database.secret, field)
        self.task_definition.add_container(
            CONTAINER,
            container_name=CONTAINER,
            image=ecs.ContainerImage.from_registry(image_uri),
            essential=True,
            readonly_root_filesystem=True,
            stop_timeout=cdk.Duration.seconds(60),
            environment={**variables, **environment},
            secrets={**injected, **secrets},
            port_mappings=[ecs.PortMapping(container_port=port)],
            logging=ecs.LogDrivers.aws_logs(stream_prefix=CONTAINER, log_group=self.log_group),
        )

    def _task(
        self, family: str, cpu: int, memory_mib: int, architecture: ecs.CpuArchitecture | None
    ) -> ecs.FargateTaskDefinition:
        task = ecs.FargateTaskDefinition(
            self,
            "Task",
            family=family,
            cpu=cpu,
            memory_limit_mib=memory_mib,
            execution_role=self.execution_role,
            task_role=self.task_role,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=architecture or ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        acknowledge(
            task,
            "AwsSolutions-ECS2",
            "The variables are addresses and names; what is secret comes from Secrets Manager.",
        )
        return task

    def _cluster(self, name: str, vpc: ec2.IVpc) -> ecs.Cluster:
        return ecs.Cluster(
            self,
            "Cluster",
            cluster_name=name,
            vpc=vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )

    def _service(
        self,
        name: str,
        vpc_subnets: ec2.SubnetSelection,
        desired_count: int | None,
        canary: Canary,
        alarms: Sequence[cloudwatch.IAlarm],
    ) -> ecs.FargateService:
        service = ecs.FargateService(
            self,
            "Service",
            service_name=name,
            cluster=self.cluster,
            task_definition=self.task_definition,
            task_definition_revision=ecs.TaskDefinitionRevision.LATEST,
            desired_count=desired_count,
            assign_public_ip=False,
            vpc_subnets=vpc_subnets,
            security_groups=[self.security_group],
            min_healthy_percent=100,
            max_healthy_percent=200,
            health_check_grace_period=cdk.Duration.seconds(60),
            enable_ecs_managed_tags=True,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
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

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The tasks: requests from the load balancer in, HTTPS and the database out",
            allow_all_outbound=False,
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS and model providers")
        if self._database:
            inside = ec2.Peer.ipv4(vpc.vpc_cidr_block)
            group.add_egress_rule(inside, ec2.Port.tcp(DATABASE_PORT), "the database")
        return group

    def _let_in(self, routing: Routing, port: int) -> None:
        """Opens the ways in: load balancer to tasks, tasks to the database."""
        own = self.security_group.security_group_id
        ways = [("FromLoadBalancer", routing.security_group_id, own, port)]
        if self._database:
            group = self._database.security_group.security_group_id
            ways.append(("ToDatabase", own, group, DATABASE_PORT))
        for name, source, target, number in ways:
            way = ec2.CfnSecurityGroupIngress(
                self,
                name,
                group_id=target,
                source_security_group_id=source,
                ip_protocol="tcp",
                from_port=number,
                to_port=number,
            )
            self._after(way)

    def _attach(self, routing: Routing, port: int) -> None:
        """Tells ECS the two target groups and the two rules."""
        role = infrastructure_role(self, routing)
        self._cfn.load_balancers = [
            ecs.CfnService.LoadBalancerProperty(
                container_name=CONTAINER,
                container_port=port,
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
