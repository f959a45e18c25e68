"""The routing stack: listeners and rules, whose weights ECS owns after the first deployment."""

from __future__ import annotations

from constructs import Construct

from llmops_constructs import LlmRouting, Network
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack


class RoutingStack(EnvironmentStack):
    """The load balancer. A stack of its own, so that a change of the service never touches it."""

    def __init__(self, scope: Construct, environment: Environment, network: Network) -> None:
        super().__init__(scope, "routing", environment)
        self.routing = LlmRouting(
            self,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            container_port=environment.service.container_port,
            listener_port=environment.service.listener_port,
            test_listener_port=environment.service.test_listener_port,
            deletion_protection=not self.throw_away,
        )
