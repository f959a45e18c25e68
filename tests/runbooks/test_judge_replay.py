"""`llmops judge replay`: from a file, with no cloud and no project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_judge import Judge, Policy
from llmops_judge.observations import Minute, Sample
from llmops_runbooks.errors import UsageError
from llmops_runbooks.judge_replay import replay_file

ARN = "arn:aws:ecs:us-east-1:123456789012:service-deployment/handbook/abc"


def record() -> dict[str, Any]:
    judge = Judge(Policy(), 0.5)
    bad = Minute(Sample(50, {"errors": {0: 50}}), Sample(50, {"errors": {0: 20, 1: 30}}))
    state = judge.minute(judge.start(), bad)
    arms = {"baseline": bad.baseline.to_json(), "canary": bad.canary.to_json()}
    end = "2026-01-05T12:01:00+00:00"
    verdict = judge.verdict(state, elapsed_minutes=1.0).to_json()
    return {
        "schema": 2,
        "rollout": ARN,
        "canary": {"release": "1.1.0-bbbb"},
        "policy": Policy().to_settings(),
        "weight": 0.5,
        "begin": "2026-01-05T12:00:00+00:00",
        "history": None,
        "calls": [{"at": end, "through": end, "elapsed_minutes": 1.0, "verdict": verdict}],
        "intervals": [{"start": "2026-01-05T12:00:00+00:00", "seconds": 60, **arms}],
    }


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    def to(**changes: Any) -> Path:
        file = tmp_path / "gate.json"
        file.write_text(json.dumps({**record(), **changes}))
        return file

    return to


def test_a_record_that_is_reproduced_is_exit_0(store: Callable[..., Path]) -> None:
    found = replay_file(store())
    assert (found.rollout, found.canary, found.reproduced, found.exit_code) == (
        ARN,
        "1.1.0-bbbb",
        True,
        0,
    )
    assert found.calls[0].decision == "rollback"


def test_evidence_names_its_rollout_in_a_table(store: Callable[..., Path]) -> None:
    assert replay_file(store(rollout={"id": "abc", "arn": ARN})).rollout == "abc"


def test_a_verdict_that_is_not_reproduced_is_exit_1(store: Callable[..., Path]) -> None:
    calls = record()["calls"]
    calls[0]["verdict"]["requests"]["canary"] = 51
    found = replay_file(store(calls=calls))
    assert found.exit_code == 1
    assert found.calls[0].difference == "requests.canary is 50, and the record says 51"


def test_another_policy_is_asked_for_its_opinion_and_exit_0(
    store: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "other.toml").write_text("[metrics.errors]\nmode = 'observe'\n")
    found = replay_file(store(), tmp_path / "other.toml")
    assert (found.exit_code, found.reproduced) == (0, False)
    assert found.calls[0].decision == "wait"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "cannot be read as JSON"),
        ("[]", "gate.json is no record of a rollout: it holds no JSON object."),
        ("{}", "gate.json cannot be replayed: its schema is None, and a replay needs 2."),
        (
            json.dumps({**record(), "intervals": [{"start": "noon"}]}),
            "gate.json cannot be replayed: it is not as a gate writes it",
        ),
        (
            json.dumps({**record(), "policy": {"alpha": 7}}),
            "gate.json cannot be replayed: it is not as a gate writes it",
        ),
    ],
)
def test_a_file_that_is_no_record_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "gate.json"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        replay_file(file)
    assert says in raised.value.message


def test_a_file_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        replay_file(tmp_path / "nothing.json")
