"""The network stack."""

from __future__ import annotations

from constructs import Construct

from llmops_constructs import Network
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack


class NetworkStack(EnvironmentStack):
    """The VPC of one environment."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "network", environment)
        self.network = Network(
            self,
            "Network",
            availability_zones=environment.zones,
            nat_gateways=environment.network.nat_gateways,
            removal_policy=self.removal_policy,
        )
