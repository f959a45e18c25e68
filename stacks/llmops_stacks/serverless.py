"""The serverless stack: the service as a Lambda function behind an HTTP API."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llmops_constructs import LambdaLlmService
from llmops_runbooks import settings
from llmops_runbooks.errors import SettingsError
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.foundation import Foundation
from llmops_stacks.given import let_reach, scorer_key, secret_variables
from llmops_stacks.parameters import ReleaseParameters
from llmops_stacks.routing import domain_of
from llmops_stacks.variables import service_variables


class ServerlessStack(EnvironmentStack):
    """The function, its alias and its API; the release that runs is in the stack's parameters.

    :param project: the folder that the bundle's path starts from. Default: that of llmops.toml.
    """

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        below: Foundation,
        *,
        project: Path | None = None,
    ) -> None:
        super().__init__(scope, "serverless", environment)
        _check(environment)
        code = _bundle(environment, project or settings.find().parent)
        self.release = ReleaseParameters(self)
        self.service = self._make_service(environment, below, code)
        let_reach(self.service, below.data)
        self._tell()

    def _make_service(
        self, environment: Environment, below: Foundation, code: lambda_.Code
    ) -> LambdaLlmService:
        size, name = environment.function, environment.edge.domain
        domain = None
        if name:
            certificate = environment.edge.certificate_arn
            domain = domain_of(self, "Domain", environment, name, certificate)
        return LambdaLlmService(
            self,
            "Service",
            prefix=environment.prefix,
            code=code,
            release=self.release.release_id,
            vpc=below.network.vpc,
            vpc_subnets=below.network.function_subnets,
            ipv6=below.network.ipv6,
            memory_mib=size.memory_mib,
            timeout=cdk.Duration.seconds(size.timeout_seconds),
            database=below.data.database,
            database_secret=below.rotation.user if below.rotation else None,
            token_secret=below.data.secrets.tokens,
            environment={**service_variables(environment), **self.release.variables()},
            secrets={**secret_variables(below.data), **scorer_key(self, environment)},
            jobs=below.data.jobs,
            keep_warm_minutes=size.keep_warm_minutes,
            provisioned=size.provisioned,
            domain=domain,
            encryption_key=below.common.key,
            removal_policy=self.removal_policy,
        )

    def _tell(self) -> None:
        """Where the service is, for whoever calls it and for whoever moves the alias."""
        for name, value in (
            ("ServiceUrl", self.service.url),
            ("FunctionName", self.service.function.function_name),
            ("Alias", self.service.alias.alias_name),
        ):
            cdk.CfnOutput(self, name, value=value)


def _check(environment: Environment) -> None:
    if environment.edge.waf:
        raise SettingsError(
            f"'edge.waf' is set for environment {environment.name}, whose compute is lambda, but "
            "AWS WAF cannot be associated with an HTTP API.",
            hint='Take it out, or set compute = "fargate".',
        )


def _bundle(environment: Environment, project: Path) -> lambda_.Code:
    """The zip. Raises SettingsError where it is not, in one sentence."""
    bundle = environment.function.bundle
    path = project / bundle
    if not path.is_file():
        raise SettingsError(
            f"'function.bundle' of environment {environment.name} is {bundle}, and there is no "
            "such file.",
            hint=f"Make it: llmops package --out {bundle} --architecture arm64.",
        )
    return lambda_.Code.from_asset(str(path))
