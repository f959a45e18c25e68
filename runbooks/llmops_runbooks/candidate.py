"""The candidate's task definition: the live one with another release in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_runbooks.manifest import Release, canonical_json
from llmops_runbooks.ports import Cloud
from llmops_runbooks.serving import environment_of

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


def clone(cloud: Cloud, live: Mapping[str, Any], release: Release) -> dict[str, Any]:
    """RegisterTaskDefinition's parameters: what is not the release's own stays as it is live."""
    name = cloud.coordinates.container
    containers = [
        _with_release(cloud, container, release) if container["name"] == name else dict(container)
        for container in live["containerDefinitions"]
    ]
    kept = {key: value for key, value in live.items() if key in REGISTERED}
    kept = {key: value for key, value in kept.items() if value not in (None, [], {}, "")}
    return {**kept, "containerDefinitions": containers}


def _with_release(cloud: Cloud, container: Mapping[str, Any], release: Release) -> dict[str, Any]:
    variables = environment_of(container)
    variables |= {
        "RELEASE": release.id,
        "CORPUS_URI": cloud.artifacts.uri(release.corpus_key),
        CONFIGURATION: canonical_json(release.configuration).decode(),
    }
    return {
        **container,
        "image": f"{cloud.coordinates.repository_uri}@{release.image}",
        "environment": [{"name": key, "value": variables[key]} for key in sorted(variables)],
    }
