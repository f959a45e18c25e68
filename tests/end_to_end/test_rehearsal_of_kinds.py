"""`llmops rehearse --kind`, `--all`: kinds of release against one baseline and one provider."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from operating import Operator

from llmops_runbooks.rehearse_kinds import GOLDEN, KINDS, chosen

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]

SECONDS = 800
SOME = ("errors", "slow", "identical")
EVERY_KIND = "LLMOPS_TEST_EVERY_KIND"
"""The variable that asks for the rehearsal of all kinds, which takes minutes."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL, which is not run as root, can reach too."""
    with TemporaryDirectory(prefix="llmops-") as made:
        yield Path(made).resolve()


def rehearsed(folder: Path, *words: str) -> dict[str, Any]:
    """The answer of a rehearsal that passed without losing a request."""
    someone = Operator(folder, {"LLMOPS_STATE": str(folder)})
    process = someone.start("rehearse", *words)
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    assert (answer["outcome"], answer["failures"]) == ("passed", [])
    assert answer["requests_lost"] == 0
    return answer


def check(answer: dict[str, Any], *names: str) -> None:
    """Each kind ended as its line in the table says, and has a page of its own."""
    index = Path(answer["evidence"])
    page = index.read_text()
    for kind, told in zip(chosen(names), answer["kinds"], strict=True):
        assert told["kind"] == kind.name
        assert told["outcome"] == kind.expected
        assert told["decided_by"] == "gate"
        assert told["metric"] in (kind.metrics or (None,))
        own = Path(told["evidence"])
        assert told["release"] in own.read_text()
        assert f'href="{own.relative_to(index.parent)}"' in page


@pytest.mark.slow
def test_errors_and_slowness_are_rolled_back_and_the_same_again_is_promoted(folder: Path) -> None:
    answer = rehearsed(folder, *(word for name in SOME for word in ("--kind", name)))
    check(answer, *SOME)
    assert all(told["requests"] for told in answer["kinds"])


@pytest.mark.slow
@pytest.mark.skipif(EVERY_KIND not in os.environ, reason=f"takes minutes; set {EVERY_KIND}=1")
def test_every_kind_ends_as_it_should(folder: Path) -> None:
    answer = rehearsed(folder, "--all")
    check(answer, *(kind.name for kind in KINDS))
    told = {each["kind"]: each for each in answer["kinds"]}
    assert told["outage"]["held_by_the_outage"]
    assert told["terse"]["metric"] == GOLDEN
    assert told["terse"]["canary_requests"] in (None, 0)
