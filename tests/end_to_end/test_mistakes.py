"""A user's mistake is one sentence and exit code 2, and nothing has changed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from operating import PROJECT, Operator

from llmops_runbooks import settings

pytestmark = pytest.mark.end_to_end


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmops_cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables},
        check=False,
    )


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What was said; asserts that it is one error without a traceback, and exit code 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    first, *rest = done.stderr.strip().split("\n\n")
    assert first.startswith("error: ")
    assert "\n" not in first
    assert all(line.startswith("hint: ") for line in rest)
    return first.removeprefix("error: ")


def test_no_llmops_toml(tmp_path: Path) -> None:
    assert "There is no llmops.toml" in one_sentence(run(tmp_path, "status"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PROJECT / "llmops.toml", tmp_path)
    return tmp_path


def test_an_unknown_environment(folder: Path) -> None:
    said = one_sentence(run(folder, "release", "1.1.0", "--env", "qa"))
    known = ", ".join(settings.names(PROJECT / "llmops.toml"))
    assert said == f"llmops.toml has no environment 'qa' (it has: {known})."


def test_a_wrong_type_in_the_file(folder: Path) -> None:
    file = folder / "llmops.toml"
    file.write_text(file.read_text().replace("percent = 10", 'percent = "ten"'))
    said = one_sentence(run(folder, "deploy", "--env", "local", "--yes"))
    assert said.startswith("llmops.toml: 'canary.percent' is 'ten' for environment local")


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = one_sentence(run(folder, "up", LLMOPS_ENDPOINT_URL=url))
    assert str(url.rsplit(":", 1)[1]) in said
    assert "taken" in said


def test_nothing_that_answers_is_exit_code_4(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = run(folder, "status", LLMOPS_ENDPOINT_URL=url)
    assert done.returncode == 4
    assert f"AWS cannot be reached at {url}" in done.stderr


def test_a_release_that_does_not_exist(operator: Operator) -> None:
    before = operator.run("history").answer
    ran = operator.run("release", "9.9.9", "--env", "local")
    assert ran.code == 2
    assert "9.9.9 is neither published nor in" in ran.answer["error"]
    assert operator.run("history").answer == before


def test_nothing_to_promote(operator: Operator) -> None:
    ran = operator.run("promote", "--env", "local")
    assert ran.code == 2
    assert "romote" in ran.answer["error"]


def test_a_release_while_a_rollout_is_under_way(operator: Operator) -> None:
    first = operator.other()
    never = {"LLMOPS_JUDGE__MINIMUM_REQUESTS": "1000000"}
    release = operator.start("release", first, **never)
    try:
        under_way = operator.wait_for_rollout(lambda rollout: rollout, "a rollout")
        ran = operator.run("release", "1.1.0")
        assert ran.code == 2
        assert under_way["rollout"] in ran.answer["error"]
        assert operator.status()["rollout"]["rollout"] == under_way["rollout"]
    finally:
        operator.run("rollback", "--reason", "end of the test")
        release.communicate(timeout=120)
