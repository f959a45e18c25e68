"""The templates of every environment of llmops.toml, each synthesized once.

What `llmops package` would have made of the service is a stand-in: its content is not looked at.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmops_stacks import add_checks, build, new_app

from llmops_runbooks import settings  # isort: skip

ROOT = Path(__file__).parents[2]
Template = dict[str, Any]


@dataclass(frozen=True)
class Assembly:
    """What one synthesis wrote."""

    folder: Path
    environment: settings.Environment

    @property
    def templates(self) -> dict[str, Template]:
        """By what the stack is: network, data, routing, service and the others."""
        prefix = f"{self.environment.prefix}-"
        return {
            file.name.removeprefix(prefix).removesuffix(".template.json"): json.loads(
                file.read_text()
            )
            for file in sorted(self.folder.glob("*.template.json"))
        }

    def resources(self, kind: str = "") -> dict[str, Template]:
        """The resources of all stacks, or those of one type, by `stack/logical id`."""
        return {
            f"{what}/{name}": resource
            for what, template in self.templates.items()
            for name, resource in template["Resources"].items()
            if kind in ("", resource["Type"])
        }

    @property
    def gate(self) -> Template:
        """The function that ECS asks."""
        functions = self.resources("AWS::Lambda::Function")
        (found,) = (body for name, body in functions.items() if name.startswith("service/Gate"))
        return found

    def json(self, name: str) -> Any:
        """Another file of the assembly."""
        return json.loads((self.folder / name).read_text())


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Assembly]:
    """The assembly of an environment, checked by cdk-nag as `app.py` has it checked."""
    made: dict[str, Assembly] = {}

    def make(name: str) -> Assembly:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            bundle = tmp_path_factory.mktemp("bundle") / "function.zip"
            with zipfile.ZipFile(bundle, "w") as archive:
                archive.writestr("llm_service/lambda_function.py", "def handler(*_): ...")
            variables = {"LLMOPS_FUNCTION__BUNDLE": str(bundle)}
            environment = settings.load(name, file=ROOT / "llmops.toml", variables=variables)
            app = new_app(str(folder))
            build(app, environment)
            add_checks(app, environment)
            app.synth()
            made[name] = Assembly(folder, environment)
        return made[name]

    return make


@pytest.fixture(scope="session")
def local(assembly: Callable[[str], Assembly]) -> Assembly:
    return assembly("local")


@pytest.fixture(scope="session")
def prod(assembly: Callable[[str], Assembly]) -> Assembly:
    return assembly("prod")
