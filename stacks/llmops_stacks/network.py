"""The network stack."""

from __future__ import annotations

from constructs import Construct

from llmops_constructs import Network, WithoutNat
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.common import Common

WITHOUT_NAT = {
    "endpoints": WithoutNat.ENDPOINTS,
    "public": WithoutNat.PUBLIC_ADDRESSES,
    "ipv6": WithoutNat.IPV6,
}


class NetworkStack(EnvironmentStack):
    """The VPC of one environment."""

    def __init__(self, scope: Construct, environment: Environment, common: Common) -> None:
        super().__init__(scope, "network", environment)
        self.network = Network(
            self,
            "Network",
            availability_zones=environment.zones,
            nat_gateways=environment.network.nat_gateways,
            without_nat=WITHOUT_NAT[environment.network.without_nat],
            restrict_default_security_group=not environment.endpoint_url,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )
