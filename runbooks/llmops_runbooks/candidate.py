"""The candidate's task definition: the live one with another release in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_runbooks.manifest import Release, canonical_json
from llmops_runbooks.ports import Cloud
from llmops_runbooks.serving import Serving, environment_of

REGISTERED = frozenset(
    {
        "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions",
        "volumes", "placementConstraints", "requiresCompatibilities", "cpu", "memory", "tags",
        "pidMode", "ipcMode", "proxyConfiguration", "inferenceAccelerators", "ephemeralStorage",
        "runtimePlatform", "enableFaultInjection",
    }
)  # fmt: skip
"""The fields of RegisterTaskDefinition; DescribeTaskDefinition shows more."""
CONFIGURATION = "RELEASE_CONFIGURATION"
"""Variable that holds the release's configuration, a JSON object: one variable, so that a stack
can be told it as one parameter and the next release replaces it whole."""


def mould(cloud: Cloud, live: Serving) -> Mapping[str, Any]:
    """The task definition a candidate is cloned from: the live one, or a newer that differs.

    A newer one was registered by an infrastructure deploy since, which changes no running task:
    what it changed (size, roles, secrets) goes out with the next release, as a canary. Rejected
    candidates must have been deregistered before.
    """
    newest = cloud.deployments.task_definition(cloud.coordinates.task_family)
    older = newest["revision"] <= live.task_definition["revision"]
    return live.task_definition if older or _same(newest, live.task_definition) else newest


def clone(cloud: Cloud, live: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """RegisterTaskDefinition's parameters: what is not the release's own stays as it is live."""
    name = cloud.coordinates.container
    containers = [
        _with_release(cloud, container, release) if container["name"] == name else dict(container)
        for container in live["containerDefinitions"]
    ]
    return {**_registered(live), "containerDefinitions": containers}


def _registered(definition: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in definition.items() if key in REGISTERED}
    return {key: value for key, value in kept.items() if value not in (None, [], {}, "")}


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two task definitions ask for the same tasks; variables have no order."""
    return _unordered(one) == _unordered(other)


def _unordered(definition: Mapping[str, Any]) -> dict[str, Any]:
    containers = [
        {**container, "environment": environment_of(container)}
        for container in definition["containerDefinitions"]
    ]
    return {**_registered(definition), "containerDefinitions": containers}


def _with_release(cloud: Cloud, container: Mapping[str, Any], release: Release) -> dict[str, Any]:
    variables = environment_of(container)
    variables |= {
        "RELEASE": release.id,
        "CORPUS_URI": cloud.artifacts.uri(release.corpus_key),
        "BUNDLE_URI": cloud.artifacts.uri(release.bundle_key),
        CONFIGURATION: canonical_json(release.configuration).decode(),
    }
    return {
        **container,
        "image": f"{cloud.coordinates.repository_uri}@{release.image}",
        "environment": [{"name": key, "value": variables[key]} for key in sorted(variables)],
    }
