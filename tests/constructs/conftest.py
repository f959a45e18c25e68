"""Stacks for one construct, and the template that comes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_constructs import ExplicitStack, new_app  # before aws_cdk: it finds Node

from aws_cdk.assertions import Template  # isort: skip

ZONES = ("us-east-1a", "us-east-1b")


@pytest.fixture(scope="session")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ExplicitStack]:
    """A stack in an app of its own."""

    def make(name: str = "test", **arguments: Any) -> ExplicitStack:
        outdir: Path = tmp_path_factory.mktemp("assembly")
        return ExplicitStack(
            new_app(str(outdir)),
            name,
            account="123456789012",
            region="us-east-1",
            availability_zones=ZONES,
            **arguments,
        )

    return make


@pytest.fixture(scope="session")
def synthesized() -> Callable[[ExplicitStack], Template]:
    """The template of a stack."""
    return Template.from_stack
