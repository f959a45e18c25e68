"""The service stack: what a release changes runs here, and the gate that judges it."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from llmops_constructs import (
    Canary,
    FargateLlmService,
    GateFunction,
    LambdaHook,
    LlmRouting,
    Network,
    ServiceAlarms,
)
from llmops_constructs.rollout import POST_TEST_TRAFFIC_SHIFT, PRE_PRODUCTION_TRAFFIC_SHIFT
from llmops_runbooks.coordinates import Coordinates, parameter_name
from llmops_runbooks.settings import Environment
from llmops_stacks.base import METRIC_NAMESPACE, EnvironmentStack
from llmops_stacks.bundle import staged
from llmops_stacks.data import DataStack


@dataclass(frozen=True)
class Below:
    """The stacks the service stands on."""

    network: Network
    data: DataStack
    routing: LlmRouting


class ServiceStack(EnvironmentStack):
    """Cluster, service, alarms, gate, and the coordinates the runbooks read.

    The release is in the stack's parameters: `deploy` passes what runs now, so that a change of
    the template never moves it.
    """

    def __init__(self, scope: Construct, environment: Environment, below: Below) -> None:
        super().__init__(scope, "service", environment)
        self.image_uri = self._parameter(
            "ImageUri",
            "The image of the release that runs, by digest",
            r"\S+@sha256:[0-9a-f]{64}",
        )
        self.release_id = self._parameter(
            "ReleaseId", "The release that runs: <version>-<8 hex digits>", r"\S+-[0-9a-f]{8}"
        )
        self.corpus_uri = self._parameter(
            "CorpusUri", "The corpus of that release", r"s3://\S+/corpus/\S+"
        )
        self.bundle_uri = self._parameter(
            "BundleUri",
            "Features and prompts of that release; empty: those packaged in its image",
            r"(s3://\S+/bundles/\S+)?",
            default="",
        )
        self.release_configuration = self._parameter(
            "ReleaseConfiguration",
            "The configuration of that release, a JSON object",
            r"\{.*\}",
            default="{}",
        )
        self.alarms = ServiceAlarms(
            self,
            "Alarms",
            prefix=environment.prefix,
            routing=below.routing,
            database=below.data.database,
        )
        self.gate = self._make_gate(environment, below)
        self.service = self._make_service(environment, below)
        self._grant(below)
        self._publish(environment, below)

    def _parameter(
        self, name: str, description: str, pattern: str, default: str | None = None
    ) -> str:
        parameter = cdk.CfnParameter(
            self,
            name,
            type="String",
            description=description,
            allowed_pattern=f"^{pattern}$",
            default=default,
        )
        return parameter.value_as_string

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
                vpc_subnets=below.network.service_subnets,
                routing=below.routing,
                tokens=below.data.secrets.tokens,
                removal_policy=self.removal_policy,
            )

    def _make_service(self, environment: Environment, below: Below) -> FargateLlmService:
        size, canary = environment.service, environment.canary
        return FargateLlmService(
            self,
            "Service",
            prefix=environment.prefix,
            service_name=environment.service_name,
            vpc=below.network.vpc,
            vpc_subnets=below.network.service_subnets,
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
            environment=self._variables(environment),
            secrets=self._secrets(environment, below),
            container_port=size.container_port,
            cpu=size.cpu,
            memory_mib=size.memory_mib,
            desired_count=size.desired_count,
            removal_policy=self.removal_policy,
        )

    def _variables(self, environment: Environment) -> dict[str, str]:
        return {
            "SERVICE_NAME": environment.service_name,
            "ENVIRONMENT": environment.name,
            "RELEASE": self.release_id,
            "RELEASE_CONFIGURATION": self.release_configuration,
            "METRIC_NAMESPACE": METRIC_NAMESPACE,
            "CORPUS_URI": self.corpus_uri,
            "BUNDLE_URI": self.bundle_uri,
            **_scoring(environment),
        }

    def _secrets(self, environment: Environment, below: Below) -> dict[str, ecs.Secret]:
        """What the container reads from Secrets Manager: tokens, and a judging model's key."""
        tokens = ecs.Secret.from_secrets_manager(below.data.secrets.tokens)
        arn = environment.scoring.key_secret_arn
        if not (environment.scoring.url and arn):
            return {"BEARER_TOKENS": tokens}
        key = secretsmanager.Secret.from_secret_complete_arn(self, "ScorerKey", arn)
        return {"BEARER_TOKENS": tokens, "SCORER_KEY": ecs.Secret.from_secrets_manager(key)}

    def _grant(self, below: Below) -> None:
        """The service reads its corpus and its bundle, and nothing else of AWS."""
        for keys in ("corpus/*", "bundles/*"):
            self.service.allow_objects(below.data.artifacts.bucket, keys)

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


def _scoring(environment: Environment) -> dict[str, str]:
    """The service's variables for scoring; what is as the service has it anyway is left out."""
    scoring = environment.scoring
    variables = {} if scoring.sample == 1 else {"QUALITY_SAMPLE": f"{scoring.sample:g}"}
    if scoring.url and scoring.model:
        variables |= {
            "SCORER_URL": scoring.url,
            "SCORER_MODEL": scoring.model,
            "SCORER_SAMPLE": f"{scoring.judged:g}",
            "SCORING_BUDGET_MICRO_USD": f"{scoring.daily_budget_usd * 1e6:.0f}",
        }
    return variables


def _gate_details(environment: Environment) -> dict[str, object]:
    """What ECS hands to the gate with every call: the policy, and how soon to ask again."""
    return {
        "policy": environment.policy.to_settings(),
        "callback_seconds": environment.callback_seconds,
    }
