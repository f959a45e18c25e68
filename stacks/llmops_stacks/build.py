"""From the settings of an environment to its four stacks."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk

from llmops_runbooks.settings import Environment
from llmops_stacks.data import DataStack
from llmops_stacks.network import NetworkStack
from llmops_stacks.routing import RoutingStack
from llmops_stacks.service import Below, ServiceStack


@dataclass(frozen=True)
class Stacks:
    """The stacks of an environment, in the order they are deployed."""

    network: NetworkStack
    data: DataStack
    routing: RoutingStack
    service: ServiceStack


def build(app: cdk.App, environment: Environment) -> Stacks:
    """Adds the stacks of the environment to the app."""
    network = NetworkStack(app, environment)
    data = DataStack(app, environment, network.network)
    routing = RoutingStack(app, environment, network.network)
    below = Below(network=network.network, data=data, routing=routing.routing)
    return Stacks(network, data, routing, ServiceStack(app, environment, below))
