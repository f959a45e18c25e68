"""A deployed local cloud on free ports, driven by the CLI as an operator drives it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from operating import Operator


@pytest.fixture(scope="session")
def operator() -> Iterator[Operator]:
    """A terminal with the local cloud up and release 1.0.0 deployed."""
    with TemporaryDirectory(prefix="llmops-") as folder:
        yield from _at_work(Operator.with_free_ports(Path(folder).resolve()))


def _at_work(someone: Operator) -> Iterator[Operator]:
    try:
        up = someone.run("up", "--speed", "60")
        assert up.code == 0, up.stderr
        deployed = someone.run("deploy", "--env", "local", "--yes")
        assert deployed.code == 0, deployed.stderr
        yield someone
    finally:
        down = someone.run("down")
        assert down.code == 0, down.stderr


@pytest.fixture
def killed() -> Callable[[subprocess.Popen[str]], None]:
    """Ends a command as a crash would."""

    def kill(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    return kill
