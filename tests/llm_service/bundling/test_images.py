"""The images are built elsewhere: no Docker engine here. What can be shown without one is shown:
what the Dockerfile says, that its steps which need no engine run, and that nothing is written."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_service import sample

SOURCE = Path(__file__).parents[3] / "app_src"
LINES = (SOURCE / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
FINAL = ("base", "service", "ui")

WATCH = """
import os, sys

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        flags = arguments[2] or 0
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            os.write(2, f"WRITES {os.fsdecode(arguments[0])}\\n".encode())

sys.addaudithook(watch)
"""


def stages() -> dict[str, list[str]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in LINES:
        if match := re.fullmatch(r"FROM (?P<image>\S+) AS (?P<name>\S+)", line):
            name = match["name"]
            found[name] = [f"FROM {match['image']}"]
        elif name and line.strip() and not line.startswith("#"):
            found[name].append(" ".join(line.split()))
    return found


def test_every_image_from_outside_is_pinned_by_digest() -> None:
    named = stages()
    outside = [row[0].removeprefix("FROM ") for row in named.values()]
    outside = [image for image in outside if image not in named]
    assert outside
    assert [
        image for image in outside if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image)
    ] == []


@pytest.mark.parametrize("stage", FINAL)
def test_an_image_runs_as_a_user_without_rights_and_says_how_it_is(stage: str) -> None:
    named = stages()
    rows = list(named[stage])
    while (parent := rows[0].removeprefix("FROM ")) in named:
        rows = named[parent] + rows[1:]
    users = [row.split()[1] for row in rows if row.startswith("USER")]
    assert users[-1] == "10001"
    assert any(row.startswith("HEALTHCHECK") for row in rows)
    assert [row for row in rows if "curl" in row or "apt-get" in row] == []


def test_the_page_may_write_to_its_volume_with_the_owner_that_the_image_gives_it() -> None:
    assert "VOLUME /tmp" in stages()["ui"]


def test_what_the_stages_copy_is_there() -> None:
    copied = [
        row.split()[1:-1]
        for rows in stages().values()
        for row in rows
        if row.startswith("COPY") and "--from" not in row
    ]
    assert [name for names in copied for name in names if not (SOURCE / name).exists()] == []


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on the PATH")
@pytest.mark.parametrize("stage", ["dependencies", "ui-dependencies"])
def test_the_lock_gives_each_stage_its_requirements(stage: str, tmp_path: Path) -> None:
    step = next(row for row in stages()[stage] if row.startswith("RUN uv export"))
    command = step.removeprefix("RUN ").split("&&")[0].split()
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(SOURCE / name, tmp_path)
    subprocess.run(["uv", "--quiet", *command[1:]], cwd=tmp_path, check=True)
    asked = (tmp_path / "requirements.txt").read_text()
    assert "botocore==" in asked
    assert "--hash=sha256:" in asked
    assert ("streamlit==" in asked) == (stage == "ui-dependencies")
    assert ("uvicorn==" in asked and "bm25s==" in asked) == (stage == "dependencies")


def test_the_service_opens_no_file_for_writing(start: Callable[..., Any], tmp_path: Path) -> None:
    """What a read-only root file system would refuse."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    server = start(
        "--no-auth",
        CORPUS_URI=str(sample.FOLDER / "documents.jsonl"),
        PYTHONPATH=str(tmp_path),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert server.status("/metrics") == 200
    written = re.findall(r"^WRITES (?!/dev/)(.*)$", server.stderr.read_text(), flags=re.MULTILINE)
    assert written == []
