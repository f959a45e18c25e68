"""The service stack: what a release changes runs here, and the gate that judges it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from llmops_constructs import (
    Canary,
    FargateLlmService,
    GateFunction,
    Hours,
    LambdaHook,
    LlmRouting,
    Scaling,
    ServiceAlarms,
    SpotShare,
    WebAcl,
)
from llmops_constructs.rollout import POST_TEST_TRAFFIC_SHIFT, PRE_PRODUCTION_TRAFFIC_SHIFT
from llmops_runbooks import infrastructure_tables as settings
from llmops_runbooks.coordinates import Coordinates, parameter_name
from llmops_runbooks.settings import Environment
from llmops_stacks.base import METRIC_NAMESPACE, EnvironmentStack
from llmops_stacks.bundle import staged
from llmops_stacks.data import DataStack
from llmops_stacks.foundation import Foundation
from llmops_stacks.given import injected, let_reach, scorer_key, secret_variables
from llmops_stacks.parameters import ReleaseParameters
from llmops_stacks.variables import service_variables


@dataclass(frozen=True)
class Below(Foundation):
    """The foundation with the load balancer on it."""

    routing: LlmRouting
    web_acl: WebAcl | None


class ServiceStack(EnvironmentStack):
    """Cluster, service, alarms, gate, and the coordinates the runbooks read.

    The release is in the stack's parameters: `deploy` passes what runs now, so that a change of
    the template never moves it.
    """

    def __init__(self, scope: Construct, environment: Environment, below: Below) -> None:
        super().__init__(scope, "service", environment)
        self.release = ReleaseParameters(self)
        self.image_uri = self.release.image_uri()
        self.alarms = ServiceAlarms(
            self,
            "Alarms",
            prefix=environment.prefix,
            routing=below.routing,
            database=below.data.database,
            topics=below.common.topics,
            runbook_url=environment.alerts.runbooks,
        )
        self.gate = self._make_gate(environment, below)
        self.service = self._make_service(environment, below)
        let_reach(self.service, below.data)
        if below.data.jobs:
            below.data.jobs.grant_send(self.service.task_role)
        self._publish(environment, below)

    def _make_gate(self, environment: Environment, below: Below) -> GateFunction:
        with staged() as folder:
            return GateFunction(
                self,
                "Gate",
                prefix=environment.prefix,
                code=lambda_.Code.from_asset(str(folder)),
                handler="llmops_functions.gate.handler",
                cluster_name=environment.prefix,
                service_name=environment.service_name,
                environment=environment.name,
                metric_namespace=METRIC_NAMESPACE,
                artifact_bucket=below.data.artifacts.bucket,
                vpc=below.network.vpc,
                vpc_subnets=below.network.function_subnets,
                ipv6=below.network.ipv6,
                routing=below.routing,
                tokens=below.data.secrets.tokens,
                encryption_key=below.common.key,
                removal_policy=self.removal_policy,
            )

    def _make_service(self, environment: Environment, below: Below) -> FargateLlmService:
        size, canary, scaling = environment.service, environment.canary, environment.scaling
        return FargateLlmService(
            self,
            "Service",
            prefix=environment.prefix,
            service_name=environment.service_name,
            vpc=below.network.vpc,
            vpc_subnets=below.network.service_subnets,
            assign_public_ip=below.network.assign_public_ip,
            image_uri=self.image_uri,
            repository=below.data.images.repository,
            routing=below.routing.routing,
            canary=Canary(
                percent=canary.percent,
                bake_minutes=canary.bake_minutes,
                final_bake_minutes=canary.final_bake_minutes,
            ),
            alarms=self.alarms.alarms,
            hook=LambdaHook(
                function=self.gate.function,
                stages=(POST_TEST_TRAFFIC_SHIFT, PRE_PRODUCTION_TRAFFIC_SHIFT),
                details=_gate_details(environment),
            ),
            database=below.data.database,
            database_secret=below.rotation.user if below.rotation else None,
            live_credentials=True,
            token_secret=below.data.secrets.tokens,
            environment=self._variables(environment, below.data),
            secrets=injected({**secret_variables(below.data), **scorer_key(self, environment)}),
            collector_image=environment.monitoring.collector_image,
            container_port=size.container_port,
            cpu=size.cpu,
            memory_mib=size.memory_mib,
            cpu_architecture=architecture_of(environment),
            desired_count=None if scaling else size.desired_count,
            scaling=scaling_of(scaling) if scaling else None,
            spot=spot_of(scaling) if scaling else None,
            encryption_key=below.common.key,
            removal_policy=self.removal_policy,
        )

    def _variables(self, environment: Environment, data: DataStack) -> dict[str, str]:
        return {
            **service_variables(environment),
            **self.release.variables(),
            **(data.jobs.variables if data.jobs else {}),
        }

    def _publish(self, environment: Environment, below: Below) -> None:
        """The parameter the runbooks find everything by; a missing field fails here."""
        data, routing, service = below.data, below.routing, self.service
        coordinates = Coordinates(
            environment=environment.name,
            service_name=environment.service_name,
            region=environment.region,
            cluster=service.cluster.cluster_name,
            service=service.service.service_name,
            task_family=service.task_definition.family,
            container=service.container_name,
            production_rule_arn=routing.production_rule.listener_rule_arn,
            test_rule_arn=routing.test_rule.listener_rule_arn,
            blue_target_group_arn=routing.blue.target_group_arn,
            green_target_group_arn=routing.green.target_group_arn,
            artifact_bucket=data.artifacts.bucket.bucket_name,
            repository=data.images.repository.repository_name,
            repository_uri=data.images.repository.repository_uri,
            token_secret_arn=data.secrets.tokens.secret_arn,
            database_secret_arn=data.database.secret.secret_arn,
            secrets=_arns(below),
            alarms=tuple(alarm.alarm_name for alarm in self.alarms.alarms),
            gate_function_arn=self.gate.function.function_arn,
            log_group=service.log_group.log_group_name,
            metric_namespace=METRIC_NAMESPACE,
            service_url=routing.service_url,
            test_url=routing.test_url,
        )
        ssm.StringParameter(
            self,
            "Coordinates",
            parameter_name=parameter_name(environment.service_name, environment.name),
            description="Where the service is; read by the runbooks",
            string_value=self.to_json_string(coordinates.model_dump(mode="json")),
        )


def _arns(below: Below) -> dict[str, str]:
    """Where the secrets are that `llmops secrets` is told by name."""
    made = below.data.secrets
    named = {"tokens": made.tokens, **made.provider_keys}
    if made.langfuse:
        named["langfuse"] = made.langfuse
    if below.rotation:
        named["database"] = below.rotation.user
    return {name: secret.secret_arn for name, secret in named.items()}


def architecture_of(environment: Environment) -> ecs.CpuArchitecture:
    """What the tasks run on."""
    arm = environment.service.architecture == "arm64"
    return ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64


def scaling_of(scaling: settings.Scaling) -> Scaling:
    """The settings as the construct takes them."""
    hours = scaling.hours
    return Scaling(
        minimum=scaling.minimum,
        maximum=scaling.maximum,
        requests_per_minute=scaling.requests_per_target,
        hours=(Hours(start=_cron(hours.start), stop=_cron(hours.stop), time_zone=hours.time_zone),)
        if hours
        else (),
    )


def spot_of(scaling: settings.Scaling) -> SpotShare | None:
    """Which tasks beyond the first Fargate Spot runs, in steps of a twentieth."""
    share = round(20 * scaling.spot_share)
    return SpotShare(on_demand=20 - share, spot=share) if share else None


def _cron(text: str) -> str:
    return text.removeprefix("cron(").removesuffix(")")


def _gate_details(environment: Environment) -> dict[str, object]:
    """What ECS hands to the gate with every call: the policy, and how soon to ask again."""
    return {
        "policy": environment.policy.to_settings(),
        "callback_seconds": environment.callback_seconds,
    }
