"""AWS::ECS::TaskDefinition and AWS::ECS::Service of CloudFormation, on the engine.

moto's parser finds a resource type among the direct subclasses of CloudFormationModel, the last
one defined winning; `install` makes it look again. As on AWS, creating or updating a service ends
when its service deployment has ended, and fails if that did not succeed; an update re-sends every
property, so a task definition given by family alone is its latest ACTIVE revision again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import moto.ecs.models  # noqa: F401 - its models of the two types must be defined before ours
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError
from moto.core.common_models import CloudFormationModel

from llmops_localcloud.cloudformation.partial import add_partial
from llmops_localcloud.ecs.api import Api
from llmops_localcloud.ecs.errors import EcsError, InvalidParameterException
from llmops_localcloud.ecs.identifiers import cluster_name, last_part
from llmops_localcloud.ecs.installed import api_of
from llmops_localcloud.ecs.model import Deployment
from llmops_localcloud.ecs.properties import to_parameters
from llmops_localcloud.ecs.requests import service_model
from llmops_localcloud.ecs.stages import Status

LONGEST_WAIT_SECONDS = 36 * 3600
"""CloudFormation's own limit on the resource's handler (2160 minutes), in the cloud's time."""

LONGEST_BAKE_MINUTES = 33 * 60

REPLACING = ("serviceName", "cluster")
"""Parameters whose change makes a new service; the other immutable ones are refused."""

IMMUTABLE = ("launchType", "schedulingStrategy", "deploymentController", "role")

_RETRY_SECONDS = 5.0
"""moto tries a failed update again at once, up to four times; within so many real seconds the
same update of the same resource in the same thread is that, and fails as it did before."""

_failed: dict[tuple[int, str], tuple[float, Mapping[str, Any], str]] = {}


def install() -> None:
    """moto's parser caches the types it knows; forget, so that it finds ours."""
    parsing.get_model_list.cache_clear()
    parsing.get_model_map.cache_clear()
    parsing.get_name_type_map.cache_clear()


class LocalTaskDefinition(CloudFormationModel):
    """AWS::ECS::TaskDefinition. Ref and TaskDefinitionArn are the ARN with its revision."""

    def __init__(self, arn: str) -> None:
        self.arn = arn

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ECS::TaskDefinition"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "TaskDefinitionArn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name != "TaskDefinitionArn":
            raise UnformattedGetAttTemplateException
        return self.arn

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> LocalTaskDefinition:
        properties = {"Family": resource_name, **cloudformation_json["Properties"]}
        try:
            sent = to_parameters("RegisterTaskDefinition", properties)
            answer = api_of(account_id, region_name).register_task_definition(sent)
        except EcsError as refused:
            raise _failure(refused.message) from refused
        return cls(answer["taskDefinition"]["taskDefinitionArn"])

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: LocalTaskDefinition,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> LocalTaskDefinition:
        """A new revision, and the old one deregistered, as CloudFormation replaces it."""
        family = last_part(original_resource.arn).partition(":")[0]
        new = cls.create_from_cloudformation_json(
            family, cloudformation_json, account_id, region_name
        )
        original_resource.delete(account_id, region_name)
        return new

    def delete(self, account_id: str, region_name: str) -> None:
        api_of(account_id, region_name).deregister_task_definition({"taskDefinition": self.arn})


class LocalService(CloudFormationModel):
    """AWS::ECS::Service. Ref and ServiceArn are the ARN, Name the name."""

    def __init__(self, arn: str, sent: dict[str, Any]) -> None:
        self.arn = arn
        self.sent = sent

    @property
    def physical_resource_id(self) -> str:
        return self.arn

    @staticmethod
    def cloudformation_name_type() -> str:
        return "ServiceName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::ECS::Service"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in {"Name", "ServiceArn"}

    def get_cfn_attribute(self, attribute_name: str) -> str:
        known = {"Name": last_part(self.arn), "ServiceArn": self.arn}
        if attribute_name not in known:
            raise UnformattedGetAttTemplateException
        return known[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> LocalService:
        api = api_of(account_id, region_name)
        try:
            sent = _parameters(resource_name, cloudformation_json)
            cluster = api.engine.place.arn(f"cluster/{cluster_name(sent.get('cluster'))}")
            service = api.do.create_service(cluster, sent)
        except EcsError as refused:
            raise _failure(refused.message) from refused
        resource = cls(service.arn, sent)
        try:
            _await(api, service.deployments[-1])
        except ValidationError:
            resource.delete(account_id, region_name)
            raise
        return resource

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: LocalService,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> LocalService:
        name = cloudformation_json["Properties"].get(
            "ServiceName", last_part(original_resource.arn)
        )
        sent = _parameters(name, cloudformation_json)
        if any(sent.get(key) != original_resource.sent.get(key) for key in REPLACING):
            new = cls.create_from_cloudformation_json(
                name, cloudformation_json, account_id, region_name
            )
            original_resource.delete(account_id, region_name)
            return new
        _refuse_retry(original_resource.arn, sent)
        try:
            original_resource.resend(api_of(account_id, region_name), sent)
        except ValidationError as failed:
            _remember_failure(original_resource.arn, sent, str(failed.message))
            raise
        return original_resource

    def resend(self, api: Api, sent: dict[str, Any]) -> None:
        """UpdateService with every property, and the end of the deployment it may start."""
        for key in IMMUTABLE:
            if sent.get(key) != self.sent.get(key):
                raise _failure(f"A change of {key} needs a new service: change ServiceName too.")
        members = service_model().operation_model("UpdateService").input_shape.members
        update = {key: value for key, value in sent.items() if key in members}
        try:
            before = api.do.service(cluster_name(sent.get("cluster")), self.arn).deployments[-1]
            service = api.do.update_service(
                cluster_name(sent.get("cluster")), {**update, "service": self.arn}
            )
        except EcsError as refused:
            raise _failure(refused.message) from refused
        service.tags = list(sent.get("tags", []))
        if service.deployments[-1] is not before:
            _await(api, service.deployments[-1])
        self.sent = sent

    def delete(self, account_id: str, region_name: str) -> None:
        """Stops all tasks; ends when the last one has stopped."""
        api = api_of(account_id, region_name)
        cluster = cluster_name(self.sent.get("cluster"))
        service = api.do.delete_service(cluster, self.arn, force=True)
        if not api.engine.wait_until(lambda: service.status == "INACTIVE", LONGEST_WAIT_SECONDS):
            raise _failure(f"The tasks of {self.arn} did not stop.")


def _other_containers(properties: Mapping[str, Any]) -> list[str]:
    """One container of a task is run: its only essential one, or the first."""
    several = len(properties["ContainerDefinitions"]) > 1
    return ["containers beside the main one"] if several else []


add_partial("AWS::ECS::TaskDefinition", _other_containers)


def _parameters(name: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**resource["Properties"], "ServiceName": name}
    force = properties.pop("ForceNewDeployment", None)
    if force:
        raise _failure("Property ForceNewDeployment is not emulated: leave it out.")
    try:
        sent = to_parameters("CreateService", properties)
    except InvalidParameterException as refused:
        raise _failure(refused.message) from refused
    _check_bakes(sent.get("deploymentConfiguration", {}))
    return sent


def _check_bakes(configuration: Mapping[str, Any]) -> None:
    """CloudFormation refuses what it could not wait for (section 2.3)."""
    canary = configuration.get("canaryConfiguration", {})
    linear = configuration.get("linearConfiguration", {})
    total = configuration.get("bakeTimeInMinutes", 0) + canary.get("canaryBakeTimeInMinutes", 0)
    if linear:
        shifts = 100 / linear.get("stepPercent", 10.0)
        total += int(shifts) * linear.get("stepBakeTimeInMinutes", 6)
    for hook in configuration.get("lifecycleHooks", []):
        if hook.get("targetType") == "PAUSE":
            total += hook.get("timeoutConfiguration", {}).get("timeoutInMinutes", 1440)
    if total > LONGEST_BAKE_MINUTES:
        raise _failure(
            f"Total bake time ({total} minutes) for progressive deployment exceeds the "
            "Cloudformation limit of 33 hours."
        )


def _await(api: Api, deployment: Deployment) -> None:
    ended = api.engine.wait_until(lambda: deployment.over, LONGEST_WAIT_SECONDS)
    if not ended:
        raise _failure(f"Service deployment {deployment.arn} did not end within 36 hours.")
    if deployment.status is not Status.SUCCESSFUL:
        raise _failure(
            f"Service deployment {deployment.arn} ended as {deployment.status}: "
            f"{deployment.status_reason}"
        )


def _failure(message: str) -> ValidationError:
    return ValidationError(message=f"Resource handler returned message: {message}")


def _remember_failure(arn: str, sent: Mapping[str, Any], message: str) -> None:
    _failed[threading.get_ident(), arn] = (time.monotonic(), sent, message)


def _refuse_retry(arn: str, sent: Mapping[str, Any]) -> None:
    at, before, message = _failed.pop((threading.get_ident(), arn), (0.0, {}, ""))
    if before == sent and time.monotonic() - at < _RETRY_SECONDS:
        _remember_failure(arn, sent, message)
        raise ValidationError(message=message)
