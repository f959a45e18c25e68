"""What every stack of an environment has in common."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from llmops_constructs import ExplicitStack, resource_name
from llmops_runbooks.settings import Environment

UNTAGGED = ["AWS::ElasticLoadBalancingV2::ListenerRule"]
"""A changed tag must not touch a rule: CloudFormation would reset its weights."""

METRIC_NAMESPACE = "llmops"


class EnvironmentStack(ExplicitStack):
    """One stack of an environment, protected unless the environment is there to be thrown away."""

    def __init__(self, scope: Construct, what: str, environment: Environment) -> None:
        self.throw_away = environment.throw_away
        super().__init__(
            scope,
            resource_name(environment.prefix, what),
            account=environment.account,
            region=environment.region,
            availability_zones=environment.zones,
            description=f"{environment.service_name} {environment.name}: {what}",
            termination_protection=not self.throw_away,
        )
        for key, value in self.tags_of(environment).items():
            cdk.Tags.of(self).add(key, value, exclude_resource_types=UNTAGGED)

    @staticmethod
    def tags_of(environment: Environment) -> dict[str, str]:
        """What every resource of the environment is tagged with."""
        return {"service": environment.service_name, "environment": environment.name}

    @property
    def removal_policy(self) -> cdk.RemovalPolicy:
        """What becomes of data when its resource goes."""
        return cdk.RemovalPolicy.DESTROY if self.throw_away else cdk.RemovalPolicy.RETAIN
