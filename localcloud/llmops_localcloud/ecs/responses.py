"""Puts the ECS API of the local cloud in front of moto's, from outside.

moto finds the handler of a service in its `urls` module and dispatches by method name; `install`
replaces the handler with a subclass that answers what the engine does and leaves the rest (clusters
above all) to moto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import moto.ecs.urls
from moto.core.request import Request
from moto.core.utils import camelcase_to_underscores
from moto.ecs.exceptions import ECSException
from moto.ecs.responses import EC2ContainerServiceResponse

from llmops_localcloud.ecs import aliases, cloudformation
from llmops_localcloud.ecs.api import Answer, Api, Sent, refuse
from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.errors import EcsError
from llmops_localcloud.ecs.identifiers import Place
from llmops_localcloud.ecs.installed import APIS, api_of
from llmops_localcloud.ecs.requests import parse, render
from llmops_localcloud.ports import World

TICK_SECONDS = 0.02
"""Real seconds between two ticks."""


def install(
    world: World, account: str, region: str, *, tick_every: float | None = TICK_SECONDS
) -> Engine:
    """ECS of this account and region from now on; call before moto's server starts.

    The engine ticks in a thread of its own; with `tick_every=None` the caller ticks by hand.
    """
    engine = Engine(world, Place(account, region))
    APIS[account, region] = Api(engine)
    moto.ecs.urls.url_paths["{0}/$"] = EcsResponse.dispatch
    cloudformation.install()
    aliases.install()
    if tick_every is not None:
        engine.start(tick_every)
    return engine


OPERATIONS = (
    "RegisterTaskDefinition",
    "DescribeTaskDefinition",
    "DeregisterTaskDefinition",
    "DeleteTaskDefinitions",
    "ListTaskDefinitions",
    "ListTaskDefinitionFamilies",
    "UpdateService",
    "DeleteService",
    "DescribeServices",
    "ListServices",
    "ListTasks",
    "DescribeTasks",
    "StopTask",
    "ListServiceDeployments",
    "DescribeServiceDeployments",
    "DescribeServiceRevisions",
    "StopServiceDeployment",
    "ContinueServiceDeployment",
)
"""What the engine answers, beside CreateService, tags and the counts of clusters."""

NEED_A_CLUSTER = frozenset(
    {"UpdateService", "DeleteService", "DescribeServices", "ListServices", "ListTasks"}
    | {"DescribeTasks", "StopTask", "ListServiceDeployments"}
)
"""Refused with ClusterNotFoundException if moto does not know the cluster."""

REFUSED = (
    "RunTask",
    "StartTask",
    "CreateTaskSet",
    "UpdateTaskSet",
    "DeleteTaskSet",
    "DescribeTaskSets",
    "UpdateServicePrimaryTaskSet",
    "RegisterContainerInstance",
)
"""What moto would answer without anything happening; refused instead."""

Response = tuple[int, dict[str, str], str]

OWN = frozenset({*OPERATIONS, "CreateService", *REFUSED})

_JSON = {"Content-Type": "application/x-amz-json-1.1"}


class EcsResponse(EC2ContainerServiceResponse):
    """moto's ECS handler, with the engine's operations in place of moto's."""

    def setup_class(
        self,
        request: Request,
        full_url: str | None = None,
        headers: Any = None,
        use_raw_body: bool | None = False,
    ) -> None:
        """The engine's operations check their parameters themselves; moto parses its own."""
        operation = str(request.headers.get("X-Amz-Target", "")).rsplit(".", 1)[-1]
        self.automated_parameter_parsing = operation not in OWN
        super().setup_class(request, full_url, headers, use_raw_body)

    @property
    def api(self) -> Api:
        try:
            return api_of(self.current_account, self.region)
        except LookupError as none:
            raise ECSException("InvalidParameterException", str(none)) from none

    def answer(self, act: Callable[[Sent], Answer]) -> Response:
        """Parses the call's parameters, acts and renders."""
        operation = self._get_action()
        try:
            sent = parse(operation, self.body)
            if operation in NEED_A_CLUSTER:
                self.cluster_arn(sent)
            return 200, dict(_JSON), render(act(sent))
        except EcsError as refused:
            raise ECSException(refused.code, refused.message) from refused

    def cluster_arn(self, sent: Sent) -> str:
        """Raises ClusterNotFoundException."""
        return str(self.ecs_backend._get_cluster(sent.get("cluster") or "default").arn)

    def create_service(self) -> Any:
        return self.answer(lambda sent: self.api.create_service(sent, self.cluster_arn(sent)))

    def describe_clusters(self) -> Any:
        """moto's clusters, with the engine's counts."""
        for cluster in self.ecs_backend.clusters.values():
            services, running, pending = self.api.cluster_counts(cluster.name)
            cluster.active_services_count = services
            cluster.running_tasks_count = running
            cluster.pending_tasks_count = pending
        return super().describe_clusters()

    def list_tags_for_resource(self) -> Any:
        tags = self.api.tags_of(self._get_param("resourceArn"))
        if tags is None:
            return super().list_tags_for_resource()
        return 200, dict(_JSON), render({"tags": tags})

    def tag_resource(self) -> Any:
        tags = self.api.tags_of(self._get_param("resourceArn"))
        if tags is None:
            return super().tag_resource()
        new = [
            {"key": tag["key"], "value": tag.get("value", "")} for tag in self._get_param("tags")
        ]
        kept = [tag for tag in tags if tag["key"] not in {each["key"] for each in new}]
        tags[:] = kept + new
        return 200, dict(_JSON), "{}"

    def untag_resource(self) -> Any:
        tags = self.api.tags_of(self._get_param("resourceArn"))
        if tags is None:
            return super().untag_resource()
        tags[:] = [tag for tag in tags if tag["key"] not in self._get_param("tagKeys")]
        return 200, dict(_JSON), "{}"


def _operation(name: str) -> Callable[[EcsResponse], Response]:
    def handler(self: EcsResponse) -> Response:
        return self.answer(getattr(self.api, camelcase_to_underscores(name)))

    return handler


def _refusal(name: str) -> Callable[[EcsResponse], Response]:
    return lambda self: self.answer(refuse(name))


for _name in OPERATIONS:
    setattr(EcsResponse, camelcase_to_underscores(_name), _operation(_name))
for _name in REFUSED:
    setattr(EcsResponse, camelcase_to_underscores(_name), _refusal(_name))
