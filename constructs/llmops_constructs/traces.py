"""A collector beside the service that hands its traces to AWS X-Ray.

The collector is the AWS Distro for OpenTelemetry: its configuration, YAML or JSON, is the value of
AOT_CONFIG_CONTENT. It listens on the loopback address alone, which the containers of a task share.
The service does not wait for it and survives it: a task without traces still answers.
"""

from __future__ import annotations

import json
import re
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from llmops_constructs._findings import acknowledge_wildcard
from llmops_constructs._validation import Rule

COLLECTOR = "collector"
ENDPOINT = "http://localhost:4318"
"""Where the service sends its spans, OTLP over HTTP."""
MEMORY_MIB = 256
"""Hard limit of the collector; it drops spans at three quarters of it."""
SENDING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
"""What X-Ray's daemon policy allows for sending; sampling is the service's own."""

CONFIGURATION: dict[str, Any] = {
    "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:4318"}}}},
    "processors": {
        "memory_limiter": {
            "check_interval": "1s",
            "limit_mib": MEMORY_MIB * 3 // 4,
            "spike_limit_mib": MEMORY_MIB // 4,
        },
        "resourcedetection": {"detectors": ["env", "ecs"]},
        "batch": {"timeout": "1s", "send_batch_size": 50},
    },
    "exporters": {"awsxray": {}},
    "service": {
        "pipelines": {
            "traces": {
                "receivers": ["otlp"],
                "processors": ["memory_limiter", "resourcedetection", "batch"],
                "exporters": ["awsxray"],
            }
        }
    },
}


def pinned(image: str) -> bool:
    """Whether an image cannot change under a task definition: by digest, or a version's tag."""
    if cdk.Token.is_unresolved(image) or "@sha256:" in image:
        return True
    tag = re.search(r":([^/:]+)$", image)
    return tag is not None and tag[1] != "latest"


def collector_rules(image: str | None, task_memory_mib: int) -> list[Rule]:
    """What a collector may not be."""
    if image is None:
        return []
    return [
        (
            not pinned(image),
            f"collector_image '{image}' can change any day: name a version's tag or a digest.",
        ),
        (
            task_memory_mib < 2 * MEMORY_MIB,
            f"memory_mib is {task_memory_mib}; with a collector it must be {2 * MEMORY_MIB}.",
        ),
    ]


def add_collector(
    task: ecs.FargateTaskDefinition, image: str, log_group: logs.ILogGroup, role: iam.Role
) -> None:
    """Puts the collector into the task and lets the task's role send to X-Ray."""
    task.add_container(
        COLLECTOR,
        container_name=COLLECTOR,
        image=ecs.ContainerImage.from_registry(image),
        essential=False,
        readonly_root_filesystem=True,
        memory_limit_mib=MEMORY_MIB,
        environment={"AOT_CONFIG_CONTENT": json.dumps(CONFIGURATION, sort_keys=True)},
        logging=ecs.LogDrivers.aws_logs(stream_prefix=COLLECTOR, log_group=log_group),
    )
    role.add_to_policy(iam.PolicyStatement(actions=list(SENDING), resources=["*"]))
    acknowledge_wildcard(role, "*", "Sending to X-Ray knows no resources.")
