"""A deployed service in memory, and a project to release from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.manifest import Release
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryRegistry
from llmops_runbooks.narration import Event
from llmops_runbooks.publish import publish
from llmops_runbooks.release import Job
from llmops_runbooks.settings import Environment


def write_release(project: Path, version: str, **overlay: str) -> None:
    """`releases/<version>` with the answer it gives, so that every version is other code."""
    folder = project / "releases" / version
    (folder / "overlay/llm_service").mkdir(parents=True)
    table = f'version = "{version}"\nmodels = ["extractive-1"]\n[configuration]\n'
    table += "".join(f'{key} = "{value}"\n' for key, value in overlay.items())
    (folder / "release.toml").write_text(table)
    (folder / "overlay/llm_service/question.py").write_text(f"ANSWER = '{version}'\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with releases 1.0.0, 1.1.0 and 1.2.0."""
    code = tmp_path / "app_src/llm_service"
    for folder in ("sample", "bundle/features", "bundle/prompts/answer", "__pycache__", "tests"):
        (code / folder).mkdir(parents=True)
    (code / "__main__.py").write_text("print('serve')\n")
    (code / "question.py").write_text("ANSWER = ''\n")
    (code / "bundle/features/answer.json").write_text('{"name": "answer"}\n')
    (code / "bundle/prompts/answer/1.0.0.md").write_text("Answer from the passages.\n")
    (code / "bundle/feature.schema.json").write_text("{}")
    (code / "sample/documents.jsonl").write_text('{"id": "1"}\n')
    (code / "sample/golden.jsonl").write_text('{"question": "?"}\n')
    (code / "__pycache__/question.cpython-311.pyc").write_bytes(b"\0")
    (code / "tests/test_question.py").write_text("")
    write_release(tmp_path, "1.0.0", temperature="0")
    write_release(tmp_path, "1.1.0", top_k="3")
    write_release(tmp_path, "1.2.0")
    return tmp_path


@pytest.fixture
def artifacts() -> MemoryArtifacts:
    """An empty bucket."""
    return MemoryArtifacts()


@pytest.fixture
def registry() -> MemoryRegistry:
    """An empty image repository."""
    return MemoryRegistry("handbook")


@pytest.fixture
def put(project: Path, artifacts: MemoryArtifacts, registry: MemoryRegistry) -> Any:
    """Publishes a version of the project, into `artifacts` and `registry`."""

    def publish_version(version: str, **options: Any) -> Release:
        return publish(version, project=project, artifacts=artifacts, registry=registry, **options)

    return publish_version


@pytest.fixture
def settings() -> Environment:
    return Environment(name="local", account="123456789012", poll_seconds=1, callback_seconds=15)


@pytest.fixture
def memory(project: Path) -> MemoryCloud:
    """The cloud after `deploy`: release 1.0.0 serves."""
    memory = MemoryCloud()
    first = publish("1.0.0", project=project, artifacts=memory.artifacts, registry=memory.registry)
    memory.deploy(first)
    return memory


@dataclass
class Desk:
    """An operator: gives jobs, hears what is told, and may act at a given line."""

    memory: MemoryCloud
    settings: Environment
    project: Path
    events: list[Event] = field(default_factory=list)
    reactions: dict[str, Callable[[], None]] = field(default_factory=dict)

    def job(self, version: str, **changes: Any) -> Job:
        return Job(
            version=version,
            cloud=self.memory.cloud,
            settings=changes.pop("settings", self.settings),
            project=self.project,
            folder=self.project / ".llmops/evidence",
            tell=self.hear,
            **changes,
        )

    def hear(self, event: Event) -> None:
        self.events.append(event)
        for line, act in list(self.reactions.items()):
            if line in f"{event.step} {event.text}":
                del self.reactions[line]
                act()

    def on(self, line: str, act: Callable[[], None]) -> None:
        """When a line that holds `line` is told, act, once."""
        self.reactions[line] = act

    @property
    def steps(self) -> list[str]:
        return [event.step for event in self.events]


@pytest.fixture
def desk(memory: MemoryCloud, settings: Environment, project: Path) -> Desk:
    return Desk(memory, settings, project)


@pytest.fixture
def manual(settings: Environment) -> Environment:
    """Settings under which a person promotes."""
    canary = settings.canary.model_copy(update={"promotion": "manual"})
    return settings.model_copy(update={"canary": canary})
