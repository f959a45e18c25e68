"""Stacks for one construct, and the template that comes of it."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_constructs import ExplicitStack, new_app  # before aws_cdk: it finds Node

from aws_cdk.assertions import Template  # isort: skip

ZONES = ("us-east-1a", "us-east-1b")
SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "LLMOPS_UPDATE_SNAPSHOTS"


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


@pytest.fixture(scope="session")
def alone(new_stack: Callable[..., ExplicitStack]) -> Callable[..., Template]:
    """The template of what a function makes, in a stack that has nothing else."""

    def template(make: Callable[[ExplicitStack], object]) -> Template:
        stack = new_stack()
        make(stack)
        return Template.from_stack(stack)

    return template


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Template, str], None]:
    """Compares a template with the reviewed one of that name; assets' hashes do not count."""

    def compare(template: Template, name: str) -> None:
        text = json.dumps(template.to_json(), indent=1, sort_keys=True) + "\n"
        text = re.sub(r"[0-9a-f]{64}\.(zip|json)", r"ASSET.\1", text)
        file = SNAPSHOTS / f"{name}.json"
        if os.environ.get(UPDATE):
            file.write_text(text)
        assert json.loads(text) == json.loads(file.read_text()), (
            f"{name} changed: review the difference, then run the test again with {UPDATE}=1"
        )

    return compare
