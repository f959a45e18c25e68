"""`llmops judge`: three words, their tables, their JSON and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_judge import Judge, Policy
from llmops_judge.observations import Minute, Sample
from llmops_judge.regressions import Stated
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.memory.stores import START
from llmops_runbooks.serving import serving

Llmops = Callable[..., Any]
QUICK = ("--runs", "10", "--percent", "50")


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """The record of one bad minute, outside any project."""
    judge = Judge(Policy(), 0.5)
    bad = Minute(Sample(50, {"errors": {0: 50}}), Sample(50, {"errors": {0: 20, 1: 30}}))
    verdict = judge.verdict(judge.minute(judge.start(), bad), elapsed_minutes=1.0)
    at = "2026-01-05T12:01:00+00:00"
    record = {
        "schema": 2,
        "rollout": "abc",
        "canary": {"release": "1.1.0-bbbb"},
        "policy": Policy().to_settings(),
        "weight": 0.5,
        "begin": "2026-01-05T12:00:00+00:00",
        "history": None,
        "calls": [{"at": at, "through": at, "elapsed_minutes": 1.0, "verdict": verdict.to_json()}],
        "intervals": [
            {
                "start": "2026-01-05T12:00:00+00:00",
                "seconds": 60,
                "baseline": bad.baseline.to_json(),
                "canary": bad.canary.to_json(),
            }
        ],
    }
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(record))
    return file


def test_the_group_lists_its_words(llmops: Llmops) -> None:
    found = llmops("judge", "--help")
    assert found.code == 0
    assert all(word in found.out for word in ("lint", "simulate", "replay"))


def test_lint_shows_the_policy_of_an_environment(llmops: Llmops) -> None:
    found = llmops("judge", "lint", "--env", "manual", "--rate", "200")
    assert found.code == 0
    assert "policy of environment manual" in found.out
    assert "rolls back at most 1 % of harmless canaries" in found.out
    assert "3 points more" in found.out
    assert found.out.rstrip().endswith("no warnings")


def test_lint_warns_and_still_exits_0(llmops: Llmops, project: Path) -> None:
    (project / "judge.toml").write_text('inconclusive = "promote"\n')
    found = llmops("judge", "lint")
    assert found.code == 0
    assert 'warning: inconclusive = "promote"' in found.out


def test_lint_takes_a_file_instead_of_an_environment(llmops: Llmops, tmp_path: Path) -> None:
    file = tmp_path / "strict.toml"
    file.write_text("alpha = 0.001\n")
    found = llmops("judge", "lint", str(file), "--json")
    assert found.json["table"]["alpha"] == 0.001
    assert llmops("judge", "lint", "llmops.toml").out.startswith("policy of environment local")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alpha = 3", "strict.toml, line 1: the judge's policy: alpha is 3, but it must be"),
        ("error_margin = 0.1", "has no error_margin any more; it is metrics.errors.margin now"),
        ("alpha =", "strict.toml cannot be read"),
        ("[env.prod]\nbeta = 2", "strict.toml, line 2, environment prod: the judge's policy: beta"),
    ],
)
def test_a_mistake_in_a_policy_is_exit_2(
    llmops: Llmops, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "strict.toml"
    file.write_text(text)
    found = llmops("judge", "lint", str(file))
    assert (found.code, found.out) == (2, "")
    assert says in found.err


def test_a_file_and_an_environment_at_once_are_refused(llmops: Llmops, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text("")
    found = llmops("judge", "lint", str(tmp_path / "strict.toml"), "--env", "local")
    assert found.code == 2


def test_simulate_of_stated_rates_asks_no_cloud(llmops: Llmops) -> None:
    found = llmops("judge", "simulate", "--rate", "600", "--errors", "2", *QUICK, "--json")
    assert found.code == 0
    assert found.json["source"] == "stated averages"
    assert found.json["weight"] == 0.5
    assert " of " in found.err and "rollouts" in found.err


def test_simulate_reads_the_services_own_traffic(llmops: Llmops, memory: MemoryCloud) -> None:
    release = serving(memory.cloud).release
    memory.histories.by_release[release] = Stated(errors=0.02).history()
    memory.metrics.by_release[release] = [{"start": START.isoformat(), "requests": 600}]
    found = llmops("judge", "simulate", *QUICK)
    assert found.code == 0
    assert found.out.startswith("600 requests a minute (the live release's last 24 hours")
    assert "identical arms     rolled back" in found.out
    assert "latency x2" in found.out
    assert "without history, left out: feedback" in found.out


def test_averages_without_a_rate_are_refused(llmops: Llmops) -> None:
    found = llmops("judge", "simulate", "--errors", "2")
    assert found.code == 2
    assert "how many requests a minute" in found.err


def test_replay_reproduces_every_verdict(llmops: Llmops, evidence: Path) -> None:
    found = llmops("judge", "replay", str(evidence))
    assert found.code == 0
    assert "every verdict is reproduced" in found.out


def test_replay_names_the_first_difference_and_exits_1(llmops: Llmops, evidence: Path) -> None:
    record = json.loads(evidence.read_text())
    record["calls"][0]["verdict"]["decision"] = "promote"
    evidence.write_text(json.dumps(record))
    found = llmops("judge", "replay", str(evidence))
    assert found.code == 1
    assert "decision is 'rollback', and the record says 'promote'" in found.out
    assert "another version of the judge" in found.out
    assert llmops("judge", "replay", str(evidence), "--json").json["reproduced"] is False


def test_replay_under_another_policy_says_what_it_would_have_decided(
    llmops: Llmops, evidence: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text("[metrics.errors]\nmode = 'observe'\n")
    found = llmops("judge", "replay", str(evidence), "--policy", str(tmp_path / "other.toml"))
    assert found.code == 0
    assert "rollback -> wait" in found.out


def test_replay_needs_neither_a_project_nor_an_sdk(evidence: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    code = (
        "import sys\n"
        "from llmops_cli.main import app\n"
        f"try: app(['judge', 'replay', {str(evidence)!r}], prog_name='llmops')\n"
        "except SystemExit as end: print('exit', end.code)\n"
        "print('heavy:', sorted({'boto3', 'botocore'} & set(sys.modules)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=away, capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-2:] == ["exit 0", "heavy: []"]
