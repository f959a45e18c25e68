"""From the settings of an environment to its stacks.

A stack's module is imported when it is wanted: each brings its modules of the CDK along.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs

from llmops_runbooks.settings import Environment
from llmops_stacks.common import Common, CommonStack
from llmops_stacks.data import DataStack
from llmops_stacks.foundation import Foundation
from llmops_stacks.network import NetworkStack


def build(app: cdk.App, environment: Environment) -> None:
    """Adds the stacks of the environment to the app, in the order they are deployed."""
    foundation = _foundation(app, environment)
    if environment.compute == "lambda":
        _on_lambda(app, environment, foundation)
    else:
        _on_fargate(app, environment, foundation)
    if environment.delivery.repository:
        from llmops_stacks.delivery import DeliveryStack

        DeliveryStack(app, environment)


def _foundation(app: cdk.App, environment: Environment) -> Foundation:
    common = Common()
    if CommonStack.wanted(environment):
        common = CommonStack(app, environment).common
    network = NetworkStack(app, environment, common).network
    data = DataStack(app, environment, network, common)
    if not environment.secrets.rotation_days:
        return Foundation(common, network, data, None)
    from llmops_stacks.rotation import RotationStack

    rotation = RotationStack(app, environment, network, data, common)
    return Foundation(common, network, data, rotation)


def _on_fargate(app: cdk.App, environment: Environment, foundation: Foundation) -> None:
    from llmops_stacks.routing import RoutingStack
    from llmops_stacks.service import Below, ServiceStack

    edge = RoutingStack(app, environment, foundation.network, foundation.common)
    below = Below(
        foundation.common,
        foundation.network,
        foundation.data,
        foundation.rotation,
        edge.routing,
        edge.web_acl,
    )
    service = ServiceStack(app, environment, below)
    if environment.jobs.enabled:
        from llmops_stacks.workers import WorkersStack

        WorkersStack(app, environment, below, service)
    if environment.page.image:
        from llmops_stacks.page import PageStack

        PageStack(app, environment, below, service)
    _archive(app, environment, below, service.service.log_group)
    if environment.monitoring.enabled:
        from llmops_stacks.monitoring import MonitoringStack, on_fargate

        MonitoringStack(app, environment, on_fargate(below, service), below.common.topics)


def _on_lambda(app: cdk.App, environment: Environment, foundation: Foundation) -> None:
    from llmops_stacks.serverless import ServerlessStack

    service = ServerlessStack(app, environment, foundation)
    _archive(app, environment, foundation, service.service.log_group)
    if environment.monitoring.enabled:
        from llmops_stacks.monitoring import MonitoringStack, on_lambda

        watched = on_lambda(foundation, service)
        MonitoringStack(app, environment, watched, foundation.common.topics)


def _archive(
    app: cdk.App, environment: Environment, foundation: Foundation, log_group: logs.ILogGroup
) -> None:
    if environment.storage.archive:
        from llmops_stacks.archive import ArchiveStack

        ArchiveStack(app, environment, foundation.common, log_group)
