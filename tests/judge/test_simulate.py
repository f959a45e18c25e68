"""Simulated rollouts: what is drawn, how a change looks, and what comes out of the judge."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean, pvariance

import pytest

from llmops_judge import Policy
from llmops_judge.intervals import statistic
from llmops_judge.observations import Counts, History, size
from llmops_judge.policy import CATALOGUE
from llmops_judge.regressions import IDENTICAL, NAMED, Change, Effect, Stated, at_the_margin
from llmops_judge.scales import middle
from llmops_judge.simulate import (
    Job,
    Run,
    Share,
    Source,
    Traffic,
    binomial,
    expected_requests,
    simulated,
    summary,
    with_history,
)

HISTORY = Stated(errors=0.01, quality=0.8).history()
CHANGES = {change.name: change for change in NAMED}
ALL = with_history(Policy(), HISTORY)
ERRORS = Policy(metrics=(CATALOGUE["errors"],))


def job(
    change: Change = IDENTICAL, *, policy: Policy = ERRORS, runs: int = 20, **keys: float
) -> Job:
    traffic = Traffic(keys.get("per_minute", 200), HISTORY)
    return Job(policy, traffic, keys.get("weight", 0.1), change, runs, "7")


def mean(name: str, counts: Counts) -> float:
    found = statistic(replace_statistic(name), counts)
    assert found is not None
    return found


def replace_statistic(name: str):
    metric = CATALOGUE[name]
    return metric if metric.scale == "share" else replace(metric, statistic="mean")


@pytest.mark.parametrize(("n", "p"), [(7, 0.4), (500, 0.02), (5000, 0.9), (3, 0), (3, 1)])
def test_a_binomial_draw_has_the_mean_and_the_variance_of_its_law(n: int, p: float) -> None:
    chance = random.Random(4)
    drawn = [binomial(chance, n, p) for _ in range(3000)]
    assert fmean(drawn) == pytest.approx(n * p, rel=0.05)
    assert pvariance(drawn) == pytest.approx(n * p * (1 - p), rel=0.1)


@pytest.mark.parametrize("per_minute", [60, 6000])
def test_minutes_are_drawn_from_the_history_and_split_by_the_weight(per_minute: int) -> None:
    source = Source(job(per_minute=per_minute, policy=ALL), random.Random(1))
    minutes = [source.minute() for _ in range(60)]
    served = sum(minute.canary.requests for minute in minutes)
    assert served == pytest.approx(0.1 * 60 * per_minute, rel=0.15)
    for name in ("errors", "latency", "quality"):
        drawn: dict[int, float] = {}
        for minute in minutes:
            for at, count in minute.baseline.counts[name].items():
                drawn[at] = drawn.get(at, 0) + count
        coverage = size(HISTORY.counts[name]) / HISTORY.requests
        assert size(drawn) == pytest.approx(0.9 * 60 * per_minute * coverage, rel=0.02)
        assert mean(name, drawn) == pytest.approx(
            mean(name, HISTORY.counts[name]), rel=0.5 if name == "errors" else 0.05
        )


def test_less_than_a_request_a_minute_is_one_now_and_then() -> None:
    source = Source(job(per_minute=0.25), random.Random(1))
    served = [sum(sample.requests for sample in source.minute()) for _ in range(400)]
    assert set(served) == {0, 1}
    assert sum(served) == pytest.approx(100, rel=0.25)


@pytest.mark.parametrize(
    ("name", "metric", "ratio"),
    [
        ("errors x3", "errors", 3),
        ("errors +2 points", "errors", 3),
        ("latency +25 %", "latency", 1.25),
        ("latency x2", "latency", 2),
        ("quality -0.05", "quality", 0.75 / 0.8),
        ("bad answers +8 %", "quality", (0.92 * 0.8 + 0.08 * 0.2) / 0.8),
        ("cost +20 %", "cost", 1.2),
        ("tokens x3", "tokens", 3),
        ("tokens x3", "cost", 3),
    ],
)
def test_a_regression_changes_the_mean_as_its_name_says(
    name: str, metric: str, ratio: float
) -> None:
    changed = CHANGES[name].canary(Policy(), HISTORY)
    before, after = (mean(metric, counts[metric]) for counts in (HISTORY.counts, changed))
    assert after / before == pytest.approx(ratio, rel=0.02)
    assert size(changed[metric]) == pytest.approx(size(HISTORY.counts[metric]))
    untouched = set(HISTORY.counts) - CHANGES[name].metrics()
    assert all(changed[other] == HISTORY.counts[other] for other in untouched)


def test_the_slow_tail_is_three_times_as_heavy_and_the_rest_as_it_was() -> None:
    before = HISTORY.counts["latency"]
    after = CHANGES["slow tail x3"].canary(Policy(), HISTORY)["latency"]
    slowest = [at for at in before if middle("ratio", at) > 8000]
    share = sum(before[at] for at in slowest) / size(before)
    assert share < 0.02
    assert sum(after[at] for at in slowest) / size(after) == pytest.approx(3 * share)
    assert size(after) == pytest.approx(size(before))


def test_each_gating_metric_has_a_canary_at_its_margin() -> None:
    found = {change.margin: change.effects[0] for change in at_the_margin(Policy())}
    assert found == {
        "errors": Effect("errors", "plus", 0.03),
        "latency": Effect("latency", "slower", 1.25),
        "cost": Effect("cost", "slower", 1.25),
        "quality": Effect("quality", "lower", 0.05),
    }


def test_the_same_seed_plays_the_same_rollouts() -> None:
    assert simulated(job(runs=5)) == simulated(job(runs=5))
    assert simulated(job(runs=5)) != simulated(replace(job(runs=5), seed="8"))


def test_a_bad_canary_is_rolled_back_and_a_good_one_promoted() -> None:
    broken = Change("broken", "", (Effect("errors", "plus", 0.3),))
    assert {run.end for run in simulated(job(broken))} == {"rollback"}
    good = simulated(job())
    assert sum(run.end == "promote" for run in good) >= 19


def test_without_traffic_a_rollout_is_inconclusive_when_its_time_is_over() -> None:
    runs = simulated(job(per_minute=0.5, runs=3))
    assert {(run.end, run.minutes) for run in runs} == {("inconclusive", 60)}


def test_no_rollout_is_promoted_before_its_minutes() -> None:
    policy = replace(ERRORS, minimum_minutes=45)
    assert min(run.minutes for run in simulated(job(policy=policy, runs=10))) >= 45


def test_metrics_without_history_are_left_out() -> None:
    policy = with_history(Policy(), History(10, {"errors": {0: 10}, "latency": {}}))
    assert [metric.name for metric in policy.metrics] == ["errors"]


def test_a_summary_tells_the_median_of_those_that_ended_so() -> None:
    ends = [Run("rollback", n, 100 * n, 10 * n) for n in range(1, 11)]
    found = summary(IDENTICAL, 0.1, [*ends, Run("promote", 50, 5000, 500)], "rollback")
    assert (found.requests, found.minutes, found.canary) == (500, 5, 50)
    assert found.slow_requests == 900
    assert found.promoted.value == pytest.approx(1 / 11)
    none = summary(IDENTICAL, 0.1, ends, "promote")
    assert (none.requests, none.slow_requests, none.promoted.value) == (None, None, 0)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 0.037), (50, 0.404, 0.596), (100, 0.963, 1)]
)
def test_a_share_has_wilsons_interval(count: int, low: float, high: float) -> None:
    found = Share.of(count, 100)
    assert found.value == count / 100
    assert [found.low, found.high] == pytest.approx([low, high], abs=1e-3)


def test_the_expected_rollout_needs_about_what_half_of_the_drawn_ones_do() -> None:
    drawn = summary(IDENTICAL, 0.1, simulated(job(runs=60)), "promote")
    expected = expected_requests(job(), "promote", 20_000)
    assert drawn.requests and expected
    assert 0.4 < expected / drawn.requests < 2.5


def test_a_forecast_gives_up_at_its_limit() -> None:
    assert expected_requests(job(), "rollback", 1000) is None
