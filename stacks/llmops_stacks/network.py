"""The network stack."""

from __future__ import annotations

from collections.abc import Sequence

from constructs import Construct

from llmops_constructs import Network, WithoutNat
from llmops_constructs.network import INTERFACE_ENDPOINTS
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
            interface_endpoints=_endpoints(environment),
            restrict_default_security_group=not environment.endpoint_url,
            encryption_key=common.key,
            removal_policy=self.removal_policy,
        )


def _endpoints(environment: Environment) -> Sequence[str] | None:
    """What isolated tasks and functions call, where interface endpoints are their only way."""
    network = environment.network
    if network.nat_gateways or network.without_nat != "endpoints":
        return None
    more = {"sqs": environment.jobs.enabled, "xray": environment.monitoring.collector_image}
    return (*INTERFACE_ENDPOINTS, *(name for name, wanted in more.items() if wanted))
