"""The command line over the memory twin: the real commands, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llmops_cli.main import app
from llmops_runbooks.aws import connect
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.publish import publish

SETTINGS = """
default_environment = "local"
[env.local]
account = "123456789012"
endpoint_url = "http://127.0.0.1:9"
access_key_id = "local"
secret_access_key = "local"
poll_seconds = 1
[env.manual]
account = "123456789012"
poll_seconds = 1
[env.manual.canary]
promotion = "manual"
"""


@dataclass(frozen=True)
class Answer:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on stdout; nothing else may be there."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Llmops = Callable[..., Answer]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with releases 1.0.0 to 1.2.0, as the working directory."""
    code = tmp_path / "app_src/llm_service"
    (code / "sample").mkdir(parents=True)
    for path in ("__main__.py", "sample/documents.jsonl", "sample/golden.jsonl"):
        (code / path).write_text("{}\n")
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        folder = tmp_path / "releases" / version
        folder.mkdir(parents=True)
        (folder / "release.toml").write_text(f'version = "{version}"\nmodels = ["{version}"]\n')
    (tmp_path / "llmops.toml").write_text(SETTINGS)
    for name in ("LLMOPS_ENV", "LLMOPS_ENDPOINT_URL", "LLMOPS_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def llmops(project: Path) -> Llmops:
    """Runs a command line in this process."""

    def run(*arguments: str) -> Answer:
        found = CliRunner().invoke(app, list(arguments), prog_name="llmops")
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Answer(found.exit_code, found.stdout, found.stderr)

    return run


@pytest.fixture
def memory(project: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryCloud:
    """A deployed service in memory, behind every command: release 1.0.0 serves."""
    memory = MemoryCloud()
    memory.deploy(
        publish("1.0.0", project=project, artifacts=memory.artifacts, registry=memory.registry)
    )
    monkeypatch.setattr(connect, "connect", lambda _: memory.cloud)
    return memory
