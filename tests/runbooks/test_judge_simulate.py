"""`llmops judge simulate`: traffic from the service's own history, rollouts over processes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from llmops_judge.observations import History
from llmops_judge.policy import CATALOGUE, Policy
from llmops_judge.regressions import Stated
from llmops_runbooks.errors import UsageError
from llmops_runbooks.judge_simulate import Plan, Report, observed, simulate, stated
from llmops_runbooks.memory import MemoryCloud
from llmops_runbooks.memory.stores import START
from llmops_runbooks.serving import serving

ERRORS = Policy(metrics=(CATALOGUE["errors"], CATALOGUE["feedback"]))


def played(plan: Plan) -> tuple[Report, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    return simulate(plan, lambda *each: told.append(each)), told


def plan(**changes: Any) -> Plan:
    usual = Plan(ERRORS, stated(300, {"errors": 0.01}), 0.1, "here", runs=10, workers=1)
    return replace(usual, **changes)


@pytest.fixture(scope="module")
def report() -> Report:
    return played(plan())[0]


def test_the_report_has_identical_arms_regressions_margins_and_shares(report: Report) -> None:
    assert report.identical.promoted.value > 0.8
    assert [each.change.name for each, _ in report.regressions] == ["errors x3", "errors +2 points"]
    assert [each.change.margin for each in report.margins] == ["errors"]
    assert [same.weight for same, _ in report.shares] == [0.05, 0.1, 0.25, 0.5]
    assert report.left_out == ("feedback",)
    assert "latency x2" in {change.name for change in report.unseen}


def test_what_the_margins_put_up_with_is_marked(report: Report) -> None:
    assert [within for _, within in report.regressions] == [True, True]
    tight = Policy.from_settings({"metrics": {"errors": {"margin": 0.01}}})
    strict, _ = played(plan(policy=replace(tight, metrics=(tight.metric("errors"),))))
    assert [within for _, within in strict.regressions] == [False, False]


def test_a_heavier_canary_decides_sooner(report: Report) -> None:
    light, heavy = report.shares[0][0], report.shares[-1][0]
    assert light.requests and heavy.requests
    assert heavy.requests < light.requests


def test_progress_counts_every_rollout(report: Report) -> None:
    _, told = played(plan(runs=10))
    assert told[-1] == (100, 100)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_processes_play_the_same_rollouts_as_one(report: Report) -> None:
    assert played(plan(workers=2))[0].to_json() == report.to_json()


def test_the_json_has_rates_with_their_monte_carlo_error(report: Report) -> None:
    found = report.to_json()
    assert found["identical"]["rolled_back"].keys() == {"value", "low", "high"}
    assert found["requests_per_minute"] == 300
    assert found["regressions"][0]["within_margins"] is True


def test_a_history_without_a_gating_metric_is_refused() -> None:
    traffic = replace(plan().traffic, history=History(10, {"feedback": {1: 10}}))
    with pytest.raises(UsageError, match=r"none of the metrics that gate \(errors\)"):
        played(plan(traffic=traffic))


def test_the_live_releases_own_traffic_is_read(memory: MemoryCloud) -> None:
    release = serving(memory.cloud).release
    past = Stated().history()
    memory.histories.by_release[release] = past
    memory.metrics.by_release[release] = [
        {"start": (START + timedelta(minutes=minute)).isoformat(), "requests": requests}
        for minute, requests in ((0, None), (5, 60), (6, 120), (8, 60), (9, None))
    ]
    traffic = observed(memory.cloud, Policy(), hours=24)
    assert (traffic.per_minute, traffic.history) == (60, past)


def test_a_release_that_served_nothing_cannot_be_simulated(memory: MemoryCloud) -> None:
    with pytest.raises(UsageError, match="has served nothing in the last 24 hours") as raised:
        observed(memory.cloud, Policy(), hours=24)
    assert "--rate" in raised.value.hint
