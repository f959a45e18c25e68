"""`llmops rehearse`: the whole story in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from operating import Operator

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL, which is not run as root, can reach too."""
    with TemporaryDirectory(prefix="llmops-") as made:
        yield Path(made).resolve()


def test_a_rehearsal_rolls_the_bad_one_back_and_promotes_the_good_one(folder: Path) -> None:
    someone = Operator(folder, {"LLMOPS_STATE": str(folder)})
    ran = someone.run("rehearse")
    assert ran.code == 0, ran.stderr
    assert ran.answer["outcome"] == "passed"
    assert ran.answer["requests_lost"] == 0
    assert ran.answer["requests_sent"] > 1000
    bad, good = ran.answer["rollouts"]
    assert bad["release"].startswith("1.1.0-")
    assert (bad["outcome"], bad["verdict"], bad["decided_by"]) == (
        "rolled_back",
        "rollback",
        "gate",
    )
    assert good["release"].startswith("1.2.0-")
    assert (good["outcome"], good["verdict"], good["decided_by"]) == ("promoted", "promote", "gate")
    assert bad["canary_requests_at_decision"] > 0
    assert bad["seconds_from_decision_to_no_canary_traffic"] < bad["seconds_from_start_to_decision"]
    page = Path(ran.answer["evidence"]).read_text()
    assert bad["release"] in page
    assert good["release"] in page
    assert left_behind(folder) == []
    for rollout in (bad, good):
        evidence = str(Path(rollout["evidence"]).with_name("evidence.json"))
        again = someone.run("judge", "replay", evidence)
        assert again.code == 0, again.stderr
        explained = someone.run("explain", evidence)
        assert explained.code == 0, explained.stderr


def left_behind(root: Path) -> list[str]:
    """Command lines of processes that still work below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if (process.info["cwd"] or "").startswith(str(root)):
            found.append(" ".join(process.info["cmdline"] or []))
    return found
