"""What is in a template of which there is only one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_cdk.assertions import Template

from llmops_constructs import ExplicitStack

Alone = Callable[[Callable[[ExplicitStack], object]], Template]
"""The template of what a function makes, in a stack that has nothing else."""


def only(template: Template, kind: str, prefix: str = "") -> dict[str, Any]:
    """The properties of the one resource of a type whose logical id begins so."""
    (found,) = (
        resource["Properties"]
        for name, resource in template.find_resources(kind).items()
        if name.startswith(prefix)
    )
    return dict(found)


def job_queues(template: Template) -> tuple[dict[str, Any], dict[str, Any]]:
    """The queue of jobs and its dead letters."""
    found = {
        each["Properties"]["QueueName"]: each["Properties"]
        for each in template.find_resources("AWS::SQS::Queue").values()
    }
    return found["handbook-test-jobs"], found["handbook-test-jobs-dead"]
