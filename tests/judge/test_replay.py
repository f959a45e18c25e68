"""A record gives the verdicts it holds again, and says which figure would be another."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmops_judge import Judge, Policy
from llmops_judge.observations import History, Minute, Sample
from llmops_judge.replay import ReplayError, history_of, minutes_of, replay

BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
WEIGHT = 0.2


def minute(chance: random.Random, worse: float) -> Minute:
    def sample(requests: int, rate: float) -> Sample:
        bad = sum(chance.random() < rate for _ in range(requests))
        latency = {chance.randint(36, 44): 1 for _ in range(requests)}
        return Sample(requests, {"errors": {0: requests - bad, 1: bad}, "latency": latency})

    return Minute(sample(80, 0.01), sample(20, 0.01 + worse))


def recorded(worse: float = 0.3, *, minutes: int = 8, history: bool = True) -> dict[str, Any]:
    """What a gate writes that is called every two minutes, with the state it carries along."""
    chance, policy = random.Random(5), Policy()
    judge = Judge(policy, WEIGHT)
    past = History(500, {"errors": {0: 495, 1: 5}}) if history else None
    state, calls, intervals = judge.start(past), [], []
    for number in range(minutes):
        start = BEGIN + timedelta(minutes=number)
        seen = minute(chance, worse)
        state = json.loads(json.dumps(judge.minute(state, seen)))
        arms = {"baseline": seen.baseline.to_json(), "canary": seen.canary.to_json()}
        intervals.append({"start": start.isoformat(), "seconds": 60, **arms})
        if number % 2:
            verdict = judge.verdict(state, elapsed_minutes=number + 1).to_json()
            end = (start + timedelta(minutes=1)).isoformat()
            calls.append(
                {"at": end, "through": end, "elapsed_minutes": number + 1.0, "verdict": verdict}
            )
    record = {
        "schema": 2,
        "policy": policy.to_settings(),
        "weight": WEIGHT,
        "begin": BEGIN.isoformat(),
        "history": None
        if past is None
        else {"requests": 500, "counts": {"errors": {"0": 495, "1": 5}}},
        "calls": [{"at": BEGIN.isoformat(), "verdict": None}, *calls],
        "intervals": intervals,
    }
    found: dict[str, Any] = json.loads(json.dumps(record))
    return found


@pytest.mark.parametrize("history", [True, False])
def test_every_verdict_is_reproduced(history: bool) -> None:
    found = replay(recorded(history=history))
    assert [call.difference for call in found] == [None] * 4
    assert [call.minutes for call in found] == [2, 4, 6, 8]
    assert found[-1].decision == found[-1].recorded == "rollback"


def test_minutes_before_the_canary_and_those_not_yet_seen_are_not_judged() -> None:
    record = recorded()
    early = deepcopy(record["intervals"][0])
    early["start"] = (BEGIN - timedelta(minutes=1)).isoformat()
    record["intervals"].insert(0, early)
    del record["calls"][2:]
    assert [(call.minutes, call.same) for call in replay(record)] == [(2, True)]


def test_a_changed_count_is_found_and_the_first_figure_that_differs_is_named() -> None:
    record = recorded()
    record["intervals"][3]["canary"]["counts"]["errors"]["1"] += 4
    first, second, *_ = replay(record)
    assert first.same and not second.same
    assert second.difference and "and the record says" in second.difference


def test_a_forged_decision_is_found() -> None:
    record = recorded()
    record["calls"][1]["verdict"]["decision"] = "promote"
    found = replay(record)[0]
    assert found.difference == f"decision is {found.decision!r}, and the record says 'promote'"


def test_another_policy_says_what_it_would_have_decided() -> None:
    observing = Policy.from_settings({"metrics": {"errors": {"mode": "observe"}}})
    found = replay(recorded(), observing)
    assert found[-1].recorded == "rollback"
    assert found[-1].decision != "rollback"


def test_history_and_minutes_are_read_as_they_were_judged() -> None:
    record = recorded(minutes=3)
    assert history_of(record) == History(500, {"errors": {0: 495, 1: 5}})
    assert [each.canary.requests for each in minutes_of(record)] == [20, 20, 20]
    assert history_of(recorded(history=False)) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 1}, "its schema is 1, and a replay needs 2"),
        ({"weight": None}, "it has no 'weight', so no canary was judged"),
        ({"begin": None}, "it has no 'begin', so no canary was judged"),
        ({"calls": []}, "none of its calls has a verdict"),
    ],
)
def test_what_cannot_be_replayed_is_told(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ReplayError) as raised:
        replay({**recorded(), **change})
    assert str(raised.value) == says
