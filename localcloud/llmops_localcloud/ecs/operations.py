"""What the ECS API can do to services and their deployments, over the engine.

Every method may be called from any thread. What has to be read through a port is read before the
engine's lock is taken; what has to be done outside is queued for the next tick.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmops_localcloud.ecs import configuration as rules
from llmops_localcloud.ecs.engine import Engine
from llmops_localcloud.ecs.errors import (
    ClientException,
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    ServiceNotActiveException,
    ServiceNotFoundException,
    UnsupportedFeatureException,
)
from llmops_localcloud.ecs.identifiers import last_part
from llmops_localcloud.ecs.model import (
    Deployment,
    HookStatus,
    Revision,
    Service,
    Task,
    Traffic,
)
from llmops_localcloud.ecs.stages import Status
from llmops_localcloud.ecs.traffic import Routing

FROZEN = (
    "loadBalancers",
    "networkConfiguration",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
)
"""Service parameters that are part of a revision: changing one starts a deployment."""

STORED = (
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "propagateTags",
    "availabilityZoneRebalancing",
    "schedulingStrategy",
    "deploymentController",
    "clientToken",
    "role",
)
"""Parameters that are kept and shown; on the local cloud nothing but the grace period acts."""

NOT_EMULATED = (
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "placementConstraints",
    "placementStrategy",
    "gatewayConnectors",
    "monitoring",
)
"""Refused when they say anything: the local cloud has no such thing to act on."""

_HOOK_ID = re.compile(r"^ecs-[a-z_]+-[A-Za-z0-9_-]{16,}$")
_SERVICE_NAME = re.compile(r"^[A-Za-z0-9_-]{1,255}$")


class Operations:
    """The verbs of the API; results are the engine's own objects, rendered by `describe`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create_service(self, cluster_arn: str, sent: Mapping[str, Any]) -> Service:
        """Makes the service and its first deployment."""
        _refuse(sent)
        self._check_association(sent.get("loadBalancers", []))
        with self._engine.lock:
            key = (last_part(cluster_arn), sent["serviceName"])
            existing = self._engine.services.get(key)
            if existing and existing.status != "INACTIVE":
                return _same_request(existing, sent)
            service = self._new_service(cluster_arn, sent)
            self._engine.services[key] = service
            self._deploy(service)
            return service

    def update_service(self, cluster: str, sent: Mapping[str, Any]) -> Service:
        """Applies what was sent; a deployment starts only if the revision would differ, or with
        forceNewDeployment. Re-sending what the service already has changes nothing."""
        _refuse(sent)
        self._check_association(sent.get("loadBalancers", []))
        with self._engine.lock:
            service = self.active_service(cluster, sent["service"])
            definition = (
                self._engine.definitions.usable(sent["taskDefinition"])
                if ("taskDefinition" in sent)
                else None
            )
            configuration = self._configuration(service, sent)
            settings = {**service.settings, **_settings(sent)}
            containers = (definition or self._definition(service))["containerDefinitions"]
            rules.check_load_balancers(
                settings.get("loadBalancers", []), configuration["strategy"], containers
            )
            differs = bool(sent.get("forceNewDeployment")) or _frozen(settings) != _frozen(
                service.settings
            )
            if definition and definition["taskDefinitionArn"] != service.task_definition:
                service.task_definition, differs = definition["taskDefinitionArn"], True
            service.settings, service.configuration = settings, configuration
            self._resize(service, sent.get("desiredCount"))
            if differs:
                self._deploy(service)
            return service

    def delete_service(self, cluster: str, name: str, *, force: bool) -> Service:
        """DRAINING at once, INACTIVE when the last task has stopped."""
        with self._engine.lock:
            service = self.service(cluster, name)
            if service.status != "ACTIVE":
                return service
            if service.desired > 0 and not force:
                raise InvalidParameterException(
                    "The service cannot be stopped while it is scaled above 0."
                )
            if service.ongoing:
                self._engine.supersede(service.ongoing)
            service.status, service.desired = "DRAINING", 0
            for revision in service.revisions:
                revision.retire()
            return service

    def stop_deployment(self, arn: str, stop_type: str) -> Deployment:
        """Behaviours 16 and 17."""
        with self._engine.lock:
            deployment = self.deployment(arn)
            if stop_type != "ROLLBACK":
                raise InvalidParameterException("Invalid stopType. Valid values are: ROLLBACK")
            if deployment.over or deployment.committed:
                where = deployment.status if deployment.over else "cleaning up"
                raise ConflictException(
                    f"The service deployment cannot be stopped any more: it is {where}."
                )
            if deployment.status in {Status.PENDING, Status.IN_PROGRESS}:
                self._engine.roll_back(deployment)
            return deployment

    def continue_deployment(self, arn: str, hook_id: str, action: str) -> Deployment:
        """Behaviours 10 to 12."""
        if not _HOOK_ID.match(hook_id):
            raise InvalidParameterException(
                "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"
            )
        if action not in {"CONTINUE", "ROLLBACK"}:
            raise InvalidParameterException("Invalid action. Valid values are: CONTINUE, ROLLBACK")
        with self._engine.lock:
            deployment = self.deployment(arn)
            if deployment.over:
                raise InvalidParameterException(
                    "Continuing a service deployment is not allowed for service deployment in "
                    "terminal states."
                )
            going = deployment.status is Status.IN_PROGRESS
            for hook in deployment.hooks if going else []:
                if hook.hook_id == hook_id and hook.status is HookStatus.AWAITING_ACTION:
                    passed = action == "CONTINUE"
                    hook.status = HookStatus.SUCCEEDED if passed else HookStatus.FAILED
                    self._engine.announce_hook(deployment, hook)
                    return deployment
            raise InvalidParameterException(
                "Provided hookId is either completed, unavailable, or not associated with the "
                "given Resource ARN"
            )

    def stop_task(self, cluster: str, task: str, reason: str) -> tuple[Service, Revision, Task]:
        with self._engine.lock:
            for service, revision in self._engine.revisions():
                for each in revision.tasks:
                    if last_part(each.arn) == last_part(task) and _within(service, cluster):
                        self._engine.scheduler.stop_task(each, reason)
                        return service, revision, each
            raise InvalidParameterException("The referenced task was not found.")

    def service(self, cluster: str, name_or_arn: str) -> Service:
        found = self._engine.services.get((last_part(cluster), last_part(name_or_arn)))
        if found is None:
            raise ServiceNotFoundException
        return found

    def active_service(self, cluster: str, name_or_arn: str) -> Service:
        found = self.service(cluster, name_or_arn)
        if found.status != "ACTIVE":
            raise ServiceNotActiveException
        return found

    def deployment(self, arn: str) -> Deployment:
        for each in self._engine.deployments():
            if each.arn == arn:
                return each
        raise ServiceDeploymentNotFoundException

    def _check_association(self, balancers: list[Mapping[str, Any]]) -> None:
        for each in balancers:
            rule = each.get("advancedConfiguration", {}).get("productionListenerRule", "")
            if ":listener-rule/" not in rule:
                continue
            try:
                weights = self._engine.world.router.weights(rule)
            except LookupError:
                weights = {}
            rules.check_association(each, weights)

    def _new_service(self, cluster_arn: str, sent: Mapping[str, Any]) -> Service:
        if not _SERVICE_NAME.match(sent["serviceName"]):
            raise InvalidParameterException("Invalid service name.")
        if not sent.get("taskDefinition"):
            raise InvalidParameterException("TaskDefinition cannot be blank.")
        definition = self._engine.definitions.usable(sent["taskDefinition"])
        configuration = rules.complete(sent.get("deploymentConfiguration"))
        rules.check_load_balancers(
            sent.get("loadBalancers", []),
            configuration["strategy"],
            definition["containerDefinitions"],
        )
        name = sent["serviceName"]
        return Service(
            arn=self._engine.place.service(last_part(cluster_arn), name),
            name=name,
            cluster_arn=cluster_arn,
            created_at=self._engine.world.clock.now(),
            desired=sent.get("desiredCount", 1),
            task_definition=definition["taskDefinitionArn"],
            settings=_settings(sent),
            configuration=configuration,
            tags=list(sent.get("tags", [])),
        )

    def _configuration(self, service: Service, sent: Mapping[str, Any]) -> dict[str, Any]:
        if "deploymentConfiguration" not in sent:
            return service.configuration
        reset = self._engine.world.switches.reset_omitted_configuration
        return rules.complete(sent["deploymentConfiguration"], service.configuration, reset=reset)

    def _definition(self, service: Service) -> Mapping[str, Any]:
        return self._engine.definitions.describe(service.task_definition)

    def _resize(self, service: Service, desired: int | None) -> None:
        if desired is None:
            return
        for revision in service.revisions:
            if revision.scaled:
                revision.scale(desired)
        service.desired = desired

    def _deploy(self, service: Service) -> None:
        """A new revision, and the deployment that brings it; overtakes one under way."""
        if service.ongoing:
            self._engine.supersede(service.ongoing)
        now = self._engine.world.clock.now()
        cluster = last_part(service.cluster_arn)
        target = Revision(
            arn=self._engine.place.revision(cluster, service.name),
            task_definition=self._definition(service),
            settings=_frozen(service.settings),
            created_at=now,
        )
        sources = [revision for revision in service.revisions if not revision.gone]
        stable = service.active if service.active in sources else None
        deployment = Deployment(
            arn=self._engine.place.deployment(cluster, service.name),
            cluster_arn=service.cluster_arn,
            service_arn=service.arn,
            configuration=service.configuration,
            sources=sorted(sources, key=lambda each: each is not stable),
            target=target,
            stable=stable,
            created_at=now,
            updated_at=now,
            hidden_from_lists=self._engine.world.switches.eventually_consistent_lists,
        )
        self._place_target(deployment)
        service.revisions = [*sources, target]
        self._engine.launch(service, deployment)

    def _place_target(self, deployment: Deployment) -> None:
        """Which target group the target takes, and what traffic it has before any shift."""
        target, stable = deployment.target, deployment.stable
        balancers = target.settings.get("loadBalancers", [])
        if not balancers:
            return
        if deployment.rolling:
            held = stable.target_group if stable else None
            target.target_group = held or balancers[0]["targetGroupArn"]
            return
        routing = Routing(self._engine.desk, deployment, balancers[0])
        target.target_group = routing.group_for_target(stable)
        target.production_rule = routing.production_rule
        before = {target.arn: 0.0} | ({stable.arn: 100.0} if stable else {})
        deployment.traffic = Traffic(dict(before), dict(before) if routing.test_rule else {})
        deployment.previous_traffic = deployment.traffic.copy()


def _within(service: Service, cluster: str) -> bool:
    return last_part(service.cluster_arn) == last_part(cluster)


def _same_request(service: Service, sent: Mapping[str, Any]) -> Service:
    """CreateService again: the same service for the same clientToken, else refused."""
    token = sent.get("clientToken")
    if token and token == service.settings.get("clientToken"):
        return service
    raise InvalidParameterException("Creation of service was not idempotent.")


def _settings(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sent[name] for name in (*FROZEN, *STORED) if name in sent}


def _frozen(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in FROZEN if settings.get(name)}


def _refuse(sent: Mapping[str, Any]) -> None:
    for name in NOT_EMULATED:
        value = sent.get(name)
        if value and value != {"enabled": False}:
            raise UnsupportedFeatureException(f"{name} is not emulated: leave it out.")
    controller = sent.get("deploymentController", {"type": "ECS"})["type"]
    if controller != "ECS":
        raise UnsupportedFeatureException(
            f"The {controller} deployment controller is not emulated: use ECS."
        )
    if sent.get("schedulingStrategy", "REPLICA") != "REPLICA":
        raise UnsupportedFeatureException("The DAEMON scheduling strategy is not emulated.")
    if sent.get("launchType", "FARGATE") not in {"FARGATE", "EC2"}:
        raise UnsupportedFeatureException(f"Launch type {sent['launchType']} is not emulated.")
    if sent.get("desiredCount", 0) < 0:
        raise ClientException("desiredCount must not be negative.")
