"""How much more is needed, and how good that guess is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator

import pytest

from llmops_judge import History, Judge, Metric, Minute, Policy, Sample
from llmops_judge.forecast import expected, requests_needed

ERRORS = Metric("errors")
LATENCY = Metric("latency", "ratio", margin=1.20, statistic="p95", unit="ms")
HISTORY = History(
    2000, {"errors": {0: 1980, 1: 20}, "latency": {34: 200, 37: 400, 39: 800, 41: 400, 44: 200}}
)
USUAL = {34: 0.1, 37: 0.2, 39: 0.4, 41: 0.2, 44: 0.1}


def drawn(chance: random.Random, n: int, shares: dict[int, float]) -> dict[int, float]:
    counts = dict.fromkeys(shares, 0.0)
    for cell in chance.choices(list(shares), list(shares.values()), k=n):
        counts[cell] += 1
    return {cell: count for cell, count in counts.items() if count}


def minutes(
    metric: str, baseline: dict[int, float], canary: dict[int, float], seed: int
) -> Iterator[Minute]:
    """Minutes of 100 requests, about a tenth of them the canary's."""
    chance = random.Random(seed)
    while True:
        n = sum(chance.random() < 0.1 for _ in range(100))
        yield Minute(
            Sample(100 - n, {metric: drawn(chance, 100 - n, baseline)}),
            Sample(n, {metric: drawn(chance, n, canary)}),
        )


def ratios(metric: Metric, baseline: dict[int, float], canary: dict[int, float]) -> list[float]:
    """The forecast half-way to the minimum of requests over what was needed then."""
    found = []
    judge = Judge(Policy(metrics=(metric,)), 0.1)
    for seed in range(12):
        state, told, decided = judge.start(HISTORY), None, 0
        for number, minute in enumerate(minutes(metric.name, baseline, canary, seed), start=1):
            state = judge.minute(state, minute)
            decided = number
            if judge.decided(state) != "wait":
                break
            if number == 3:
                told = requests_needed(judge.policy, 0.1, state, metric)
        if told is not None:
            found.append(told / (100 * (decided - 3)))
    return found


@pytest.mark.parametrize(
    ("metric", "baseline", "canary"),
    [
        (ERRORS, {0: 0.99, 1: 0.01}, {0: 0.99, 1: 0.01}),
        (ERRORS, {0: 0.99, 1: 0.01}, {0: 0.94, 1: 0.06}),
        (LATENCY, USUAL, USUAL),
    ],
    ids=["a good canary", "more errors", "equal latency"],
)
def test_the_forecast_is_right_within_a_factor_of_three_in_the_middle(
    metric: Metric, baseline: dict[int, float], canary: dict[int, float]
) -> None:
    found = ratios(metric, baseline, canary)
    assert len(found) >= 10
    assert 1 / 3 <= statistics.median(found) <= 3


def test_the_expected_outcome_sums_to_one_and_leans_to_both_arms_together() -> None:
    baseline, canary = expected(({0: 90.0, 1: 10.0}, {0: 10.0}), 0.1)
    assert sum(baseline.values()) + sum(canary.values()) == pytest.approx(1)
    assert 0 < canary[1] / sum(canary.values()) < 10 / 110


def test_an_arm_without_outcomes_forecasts_nothing() -> None:
    judge = Judge(Policy(metrics=(ERRORS,)), 0.1)
    state = judge.minute(judge.start(), Minute(Sample(90, {"errors": {0: 90}}), Sample()))
    assert requests_needed(judge.policy, 0.1, state, ERRORS) is None


def test_at_least_the_minimum_is_needed() -> None:
    judge = Judge(Policy(metrics=(ERRORS,), minimum_requests=500), 0.1)
    arms = (Sample(n, {"errors": {0: n}}) for n in (90, 10))
    state = judge.minute(judge.start(HISTORY), Minute(*arms))
    needed = requests_needed(judge.policy, 0.1, state, ERRORS)
    assert needed is not None
    assert needed >= 4900


def test_a_metric_that_few_requests_carry_needs_as_many_more_requests() -> None:
    """The same outcomes, on every request and on every tenth."""
    judge = Judge(Policy(metrics=(ERRORS,)), 0.1)
    often, seldom = judge.start(HISTORY), judge.start(HISTORY)
    for _ in range(5):
        counts = ({"errors": {0: 90}}, {"errors": {0: 10}})
        often = judge.minute(often, Minute(Sample(90, counts[0]), Sample(10, counts[1])))
        seldom = judge.minute(seldom, Minute(Sample(900, counts[0]), Sample(100, counts[1])))
    few = requests_needed(judge.policy, 0.1, often, ERRORS)
    many = requests_needed(judge.policy, 0.1, seldom, ERRORS)
    assert few is not None
    assert many is not None
    assert many == pytest.approx(10 * few, rel=0.1)


def test_a_metric_that_moves_nowhere_has_no_forecast() -> None:
    """Worse by just the margin: neither side gains."""
    judge = Judge(Policy(metrics=(ERRORS,), alpha=1e-12), 0.5)
    state = judge.start()
    for _ in range(40):
        arms = (Sample(100, {"errors": {0: 100 - bad, 1: bad}}) for bad in (25, 28))
        state = judge.minute(state, Minute(*arms))
    needed = requests_needed(judge.policy, 0.5, state, ERRORS)
    assert needed is None or needed > 5000
