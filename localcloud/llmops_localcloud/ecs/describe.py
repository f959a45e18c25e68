"""Renders the engine's objects as the ECS API shows them. Call under the engine's lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_localcloud.ecs.model import Deployment, HookRun, Revision, Service, Task
from llmops_localcloud.ecs.scheduler import deployment_id
from llmops_localcloud.ecs.stages import Stage, Status
from llmops_localcloud.ports import Switches, TargetHealth, TaskStatus

Shape = dict[str, Any]

_DIGEST = "sha256:"


def _present(shape: Mapping[str, Any]) -> Shape:
    """AWS leaves out what has no value."""
    return {name: value for name, value in shape.items() if value is not None}


def brief(deployment: Deployment) -> Shape:
    """An entry of ListServiceDeployments."""
    return {**_common(deployment), "targetServiceRevisionArn": deployment.target.arn}


def service_deployment(deployment: Deployment, switches: Switches) -> Shape:
    """An entry of DescribeServiceDeployments. With lagging weights, each reading shows the
    weights of the reading before."""
    traffic = deployment.previous_traffic if switches.weights_lag else deployment.traffic
    sources = [_summary(deployment, each, traffic) for each in deployment.sources]
    shape = {
        **_common(deployment),
        "stoppedAt": deployment.stopped_at,
        "updatedAt": deployment.updated_at,
        "sourceServiceRevisions": sources,
        "targetServiceRevision": _summary(deployment, deployment.target, traffic),
        "lifecycleStage": _shown_stage(deployment.stage, switches),
        "lifecycleHookDetails": [_hook_detail(run) for run in deployment.hooks],
        "deploymentConfiguration": deployment.configuration,
        "rollback": _rollback(deployment),
        "deploymentCircuitBreaker": {
            "status": deployment.breaker_status,
            "failureCount": deployment.breaker_failures,
            "threshold": deployment.breaker_threshold,
        },
        "alarms": {
            "status": deployment.alarm_status,
            "alarmNames": (deployment.configuration.get("alarms") or {}).get("alarmNames", []),
            "triggeredAlarmNames": deployment.triggered_alarms,
        },
    }
    deployment.previous_traffic = deployment.traffic.copy()
    return _present(shape)


def service_revision(revision: Revision, service: Service) -> Shape:
    """An entry of DescribeServiceRevisions."""
    group = revision.target_group
    resolved = _present(
        {"targetGroupArn": group, "productionListenerRule": revision.production_rule}
    )
    shape: Shape = {
        "serviceRevisionArn": revision.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "taskDefinition": revision.task_definition["taskDefinitionArn"],
        **_runs_on(revision.settings),
        "loadBalancers": revision.settings.get("loadBalancers", []),
        "networkConfiguration": revision.settings.get("networkConfiguration"),
        "containerImages": [
            _image(container) for container in revision.task_definition["containerDefinitions"]
        ],
        "guardDutyEnabled": False,
        "createdAt": revision.created_at,
        "resolvedConfiguration": {"loadBalancers": [resolved]} if group else None,
    }
    return _present(shape)


def service(service_: Service) -> Shape:
    """An entry of DescribeServices. PAUSE hooks show only their stages (behaviour 30)."""
    counts = [revision.counts() for revision in service_.revisions]
    last = service_.deployments[-1]
    settings = service_.settings
    shape: Shape = {
        "serviceArn": service_.arn,
        "serviceName": service_.name,
        "clusterArn": service_.cluster_arn,
        "loadBalancers": settings.get("loadBalancers", []),
        "serviceRegistries": [],
        "status": service_.status,
        "desiredCount": service_.desired,
        "runningCount": sum(running for running, _ in counts),
        "pendingCount": sum(pending for _, pending in counts),
        **_runs_on(settings),
        "taskDefinition": service_.task_definition,
        "deploymentConfiguration": _service_configuration(service_.configuration),
        "deployments": [_deployment(each, service_) for each in _shown_revisions(service_)],
        "roleArn": settings.get("role"),
        "events": [],
        "createdAt": service_.created_at,
        "currentServiceDeployment": last.arn,
        "currentServiceRevisions": [_counts(each) for each in service_.running_revisions],
        "placementConstraints": [],
        "placementStrategy": [],
        "networkConfiguration": settings.get("networkConfiguration"),
        "healthCheckGracePeriodSeconds": settings.get("healthCheckGracePeriodSeconds"),
        "schedulingStrategy": settings.get("schedulingStrategy", "REPLICA"),
        "deploymentController": settings.get("deploymentController", {"type": "ECS"}),
        "enableECSManagedTags": settings.get("enableECSManagedTags", False),
        "propagateTags": settings.get("propagateTags", "NONE"),
        "enableExecuteCommand": settings.get("enableExecuteCommand", False),
        "availabilityZoneRebalancing": settings.get("availabilityZoneRebalancing", "ENABLED"),
    }
    return _present(shape)


def task(task_: Task, revision: Revision, service_: Service) -> Shape:
    """An entry of DescribeTasks."""
    definition = revision.task_definition
    shape: Shape = {
        "taskArn": task_.arn,
        "clusterArn": service_.cluster_arn,
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "containers": [_container(each, task_) for each in definition["containerDefinitions"]],
        "desiredStatus": "RUNNING" if task_.live else "STOPPED",
        "lastStatus": _last_status(task_),
        "healthStatus": _health(task_),
        "group": f"service:{service_.name}",
        "startedBy": deployment_id(revision),
        "launchType": service_.settings.get("launchType", "FARGATE"),
        "cpu": definition.get("cpu"),
        "memory": definition.get("memory"),
        "createdAt": task_.created_at,
        "startedAt": task_.started_at,
        "stoppingAt": task_.stopping_at,
        "stoppedAt": task_.stopped_at,
        "stoppedReason": task_.reason or None,
        "stopCode": task_.stop_code,
        "overrides": {"containerOverrides": []},
        "attachments": [],
        "tags": [],
        "version": 1,
    }
    return _present(shape)


def task_definition(definition: Mapping[str, Any]) -> Shape:
    return _present(definition)


def _common(deployment: Deployment) -> Shape:
    return _present(
        {
            "serviceDeploymentArn": deployment.arn,
            "serviceArn": deployment.service_arn,
            "clusterArn": deployment.cluster_arn,
            "startedAt": deployment.started_at,
            "createdAt": deployment.created_at,
            "finishedAt": deployment.finished_at,
            "status": str(deployment.status),
            "statusReason": deployment.status_reason or None,
        }
    )


def _summary(deployment: Deployment, revision: Revision, traffic: Any) -> Shape:
    shape = _counts(revision)
    if revision.arn in deployment.final_counts:
        shape = _counted(revision.arn, *deployment.final_counts[revision.arn])
    if traffic.production:
        shape["requestedProductionTrafficWeight"] = traffic.production.get(revision.arn, 0.0)
    if traffic.test:
        shape["requestedTestTrafficWeight"] = traffic.test.get(revision.arn, 0.0)
    return shape


def _counts(revision: Revision) -> Shape:
    return _counted(revision.arn, revision.requested, *revision.counts())


def _counted(arn: str, requested: int, running: int, pending: int) -> Shape:
    return {
        "arn": arn,
        "requestedTaskCount": requested,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
    }


def _shown_stage(stage: Stage | None, switches: Switches) -> str | None:
    if stage is Stage.PRE_PRODUCTION_TRAFFIC_SHIFT:
        return switches.pre_production_stage_shown
    return str(stage) if stage else None


def _hook_detail(run: HookRun) -> Shape:
    return _present(
        {
            "hookId": run.hook_id,
            "targetType": run.configuration["targetType"],
            "targetArn": None if run.is_pause else run.configuration["hookTargetArn"],
            "status": str(run.status),
            "expiresAt": run.expires_at,
            "timeoutAction": run.timeout_action,
        }
    )


def _rollback(deployment: Deployment) -> Shape | None:
    rollback = deployment.rollback
    if rollback is None:
        return None
    return _present(
        {
            "reason": rollback.reason,
            "startedAt": rollback.started_at,
            "serviceRevisionArn": rollback.revision_arn,
        }
    )


def _runs_on(settings: Mapping[str, Any]) -> Shape:
    """Launch type or capacity providers, never both."""
    strategy = settings.get("capacityProviderStrategy")
    if strategy:
        return {"capacityProviderStrategy": strategy}
    launch = settings.get("launchType", "FARGATE")
    if launch != "FARGATE":
        return {"launchType": launch}
    platform = settings.get("platformVersion", "LATEST")
    return {"launchType": launch, "platformVersion": platform, "platformFamily": "Linux"}


def _image(container: Mapping[str, Any]) -> Shape:
    _, at, digest = container["image"].partition("@")
    known = digest if at and digest.startswith(_DIGEST) else None
    return _present(
        {"containerName": container["name"], "image": container["image"], "imageDigest": known}
    )


def _service_configuration(configuration: Mapping[str, Any]) -> Shape:
    hooks = [
        {"lifecycleStages": hook["lifecycleStages"]} if hook["targetType"] == "PAUSE" else hook
        for hook in configuration["lifecycleHooks"]
    ]
    return {**configuration, "lifecycleHooks": hooks}


def _shown_revisions(service_: Service) -> list[Revision]:
    """The newest first; a service at rest shows only what runs."""
    last = service_.deployments[-1]
    shown = [each for each in service_.running_revisions if each is not last.target]
    rolled_back = last.over and last.status is not Status.SUCCESSFUL
    return shown if rolled_back and shown and last.target.gone else [last.target, *shown]


def _deployment(revision: Revision, service_: Service) -> Shape:
    """An entry of a service's `deployments`, which third-party tools wait on."""
    running, pending = revision.counts()
    primary = revision is _shown_revisions(service_)[0]
    last = service_.deployments[-1]
    state = "COMPLETED"
    if revision is last.target and last.status is not Status.SUCCESSFUL:
        state = "FAILED" if last.over else "IN_PROGRESS"
    return {
        "id": deployment_id(revision),
        "status": "PRIMARY" if primary else "ACTIVE",
        "taskDefinition": revision.task_definition["taskDefinitionArn"],
        "desiredCount": revision.requested,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": revision.failures,
        "createdAt": revision.created_at,
        "updatedAt": last.updated_at if revision is last.target else revision.created_at,
        "rolloutState": state,
        "rolloutStateReason": f"ECS deployment {deployment_id(revision)} {state.lower()}.",
        **_runs_on(revision.settings),
    }


def _last_status(task_: Task) -> str:
    if task_.over:
        return "STOPPED"
    if task_.leaving and task_.view.status is TaskStatus.RUNNING:
        return "DEACTIVATING"
    return str(task_.view.status)


def _health(task_: Task) -> str:
    """Container health; the local cloud knows the target group's word instead."""
    known = {TargetHealth.HEALTHY: "HEALTHY", TargetHealth.UNHEALTHY: "UNHEALTHY"}
    return known.get(task_.health, "UNKNOWN") if task_.health else "UNKNOWN"


def _container(container: Mapping[str, Any], task_: Task) -> Shape:
    address = task_.view.address
    ports = container.get("portMappings", [])
    bindings = [
        {
            "bindIP": address[0],
            "hostPort": address[1],
            "containerPort": port["containerPort"],
            "protocol": port.get("protocol", "tcp"),
        }
        for port in ports[:1]
        if address is not None
    ]
    return _present(
        {
            "containerArn": f"{task_.arn.replace(':task/', ':container/')}/{container['name']}",
            "taskArn": task_.arn,
            "name": container["name"],
            "image": container["image"],
            "imageDigest": _image(container).get("imageDigest"),
            "runtimeId": str(task_.view.pid) if task_.view.pid else None,
            "lastStatus": _last_status(task_),
            "exitCode": task_.view.exit_code,
            "reason": task_.view.stopped_reason or None,
            "networkBindings": bindings,
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
        }
    )
