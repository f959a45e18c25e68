"""What the judge promises: how rarely it errs, whatever the laws, the weight and the looks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_judge import Judge, Metric, Policy, against, harmless, wealth
from llmops_judge.scales import PER_OCTAVE

METRICS = (
    Metric("errors", margin=0.03),
    Metric("feedback", direction="higher", margin=0.1),
    Metric("latency", "ratio", margin=1.25, tail_margin=0.05, statistic="p95"),
    Metric("speed", "ratio", "higher", margin=1.5, tail_margin=0.05, statistic="mean"),
    Metric("quality", "unit", "higher", margin=0.05, tail_margin=0.05, statistic="mean"),
    Metric("distance", "unit", margin=0.1, statistic="mean"),
)
LARGEST = {"share": 1, "ratio": 60, "unit": 20}
settings.register_profile("judge", deadline=None)
settings.load_profile("judge")
metrics = st.sampled_from(METRICS)
weights = st.floats(0.01, 0.9)


def cells(metric: Metric) -> range:
    """Cells that outcomes of the tests fall into, from good to bad."""
    found = range(LARGEST[metric.scale] + 1)
    return found if metric.direction == "lower" else found[::-1]


def counts(metric: Metric, largest: int = 400) -> st.SearchStrategy[dict[int, int]]:
    """Any past."""
    return st.dictionaries(st.sampled_from(cells(metric)), st.integers(0, largest), max_size=25)


def laws(metric: Metric) -> st.SearchStrategy[dict[int, float]]:
    """Any law of an outcome's cell."""
    return counts(metric).filter(lambda drawn: sum(drawn.values()) > 0).map(normed)


def normed(drawn: Mapping[int, float]) -> dict[int, float]:
    total = sum(drawn.values())
    return {cell: count / total for cell, count in drawn.items()}


def better(metric: Metric, law: Mapping[int, float], by: float) -> dict[int, float]:
    """A law that is stochastically better: a part of every cell moves to the best one."""
    best = cells(metric)[0]
    moved = {cell: chance * (1 - by) for cell, chance in law.items()}
    return {**moved, best: moved.get(best, 0.0) + by}


@st.composite
def bets(draw: st.DrawFn) -> tuple[Metric, float, against.Bets]:
    metric, weight = draw(metrics), draw(weights)
    past, history = draw(counts(metric)), draw(counts(metric))
    return metric, weight, against.Bets(metric, weight, past, history)


@given(bets())
def test_whatever_the_outcome_a_bet_on_its_label_is_fair(
    drawn: tuple[Metric, float, against.Bets],
) -> None:
    metric, weight, laid = drawn
    for cell in cells(metric):
        for lost, won in zip(*laid.logs(cell), strict=True):
            mean = weight * math.exp(won) + (1 - weight) * math.exp(lost)
            assert mean == pytest.approx(1, abs=1e-9)


@given(bets())
def test_the_worse_the_outcome_the_more_a_bet_pays_on_the_canary(
    drawn: tuple[Metric, float, against.Bets],
) -> None:
    metric, _, laid = drawn
    for one, worse in pairwise(cells(metric)):
        for less, more in zip(laid.logs(one)[1], laid.logs(worse)[1], strict=True):
            assert more >= less - 1e-12


@given(bets(), st.data(), st.floats(0, 1))
def test_a_canary_that_is_no_worse_gains_nothing_on_average_from_any_expert(
    drawn: tuple[Metric, float, against.Bets], data: st.DataObject, by: float
) -> None:
    metric, weight, laid = drawn
    baseline = data.draw(laws(metric))
    canary = better(metric, baseline, by)
    for expert in range(len(laid.logs(0)[0])):
        mean = sum(
            (1 - weight) * baseline.get(cell, 0.0) * math.exp(laid.logs(cell)[0][expert])
            + weight * canary.get(cell, 0.0) * math.exp(laid.logs(cell)[1][expert])
            for cell in cells(metric)
        )
        assert mean <= 1 + 1e-9


@given(metrics, st.data(), st.floats(0, 1e6), st.floats(0, 1e5))
def test_wealth_that_wakes_is_moved_and_not_made(
    metric: Metric, data: st.DataObject, before: float, count: float
) -> None:
    asleep, staked = against.start(metric, data.draw(counts(metric)))
    assert wealth.total([asleep, *staked]) == pytest.approx(0, abs=1e-9)
    asleep, staked = against.wake(metric, asleep, staked, before, count)
    assert wealth.total([asleep, *staked]) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1))
def test_what_is_stored_is_never_more_than_what_was_won(logs: list[float]) -> None:
    for kept, log in zip(wealth.stored(logs), logs, strict=True):
        assert log - 1.1e-4 <= kept <= log


def claims(metric: Metric, past: Mapping[int, float]) -> list[harmless.Claim]:
    """What a promotion must disprove, given that past."""
    found = (
        harmless.margin_claim(metric, past, harmless.ends(metric, past)),
        harmless.tail_claim(metric, past, harmless.threshold(metric, past)),
    )
    return [claim for claim in found if claim is not None]


@given(metrics, weights, st.data())
def test_a_canary_worse_by_the_margin_gains_nothing_towards_promotion(
    metric: Metric, weight: float, data: st.DataObject
) -> None:
    past = data.draw(counts(metric))
    baseline, canary = data.draw(laws(metric)), data.draw(laws(metric))
    for claim in claims(metric, past):
        mu0 = sum(chance * claim.baseline(cell) for cell, chance in baseline.items())
        mu1 = sum(chance * claim.canary(cell) for cell, chance in canary.items())
        stakes = harmless.Stakes(claim, weight)
        for stake in range(len(harmless.STAKES)):
            mean = sum(
                (1 - weight) * baseline.get(cell, 0.0) * math.exp(stakes.logs(0, cell)[stake])
                + weight * canary.get(cell, 0.0) * math.exp(stakes.logs(1, cell)[stake])
                for cell in cells(metric)
            )
            if mu1 - mu0 >= claim.margin:
                assert mean <= 1 + 1e-9


@given(st.sampled_from(METRICS[2:4]), st.data())
def test_a_canary_slower_by_the_margin_throughout_fulfils_the_claim(
    metric: Metric, data: st.DataObject
) -> None:
    past, law = data.draw(counts(metric)), data.draw(laws(metric))
    ends = harmless.ends(metric, past)
    claim = harmless.margin_claim(metric, past, ends)
    if claim is None:
        return
    worse = math.ceil(PER_OCTAVE * math.log2(metric.margin))
    step = worse if metric.direction == "lower" else -worse
    mu0 = sum(chance * claim.baseline(cell) for cell, chance in law.items())
    mu1 = sum(chance * claim.canary(cell + step) for cell, chance in law.items())
    assert mu1 - mu0 >= claim.margin - 1e-9


def allowed(rate: float, runs: int) -> float:
    """As many of the runs as a rate allows, and what chance adds in one case of 10,000."""
    return rate * runs + 3.7 * math.sqrt(runs * rate * (1 - rate))


@pytest.mark.parametrize(
    ("arms", "weight"),
    [
        ({"errors": 0.0}, 0.1),
        pytest.param({"errors": 0.02}, 0.1, marks=pytest.mark.slow),
        ({"errors": 0.2, "poor": 0.4}, 0.1),
        pytest.param({"errors": 0.01, "poor": 0.3}, 0.5, marks=pytest.mark.slow),
        ({"errors": 0.05, "poor": 0.05}, 0.02),
    ],
)
def test_identical_canaries_are_rolled_back_at_most_alpha_often_however_often_one_looks(
    rollouts: Any, rates: Any, four: Any, arms: dict[str, float], weight: float
) -> None:
    policy = Policy(alpha=0.1, beta=1e-300, minimum_requests=1, metrics=four[::3])
    same = rates(**arms)
    decisions = [
        rollouts.run(same, same, policy=policy, weight=weight, requests=25, limit=1500)[0]
        for _ in range(80)
    ]
    assert decisions.count("rollback") <= allowed(policy.alpha, 80)


def test_an_outage_of_both_arms_rolls_nothing_back_more_often_than_alpha(
    rollouts: Any, rates: Any, four: Any
) -> None:
    policy = Policy(alpha=0.1, beta=1e-300, minimum_requests=1, metrics=four[:2])
    rolled = 0
    for _ in range(60):
        judge = Judge(policy, 0.1)
        running = judge.resume(judge.start(rollouts.history(rates(), 200, four[:2])))
        for number in range(40):
            down = 15 <= number < 25
            now = rates(0.3, latency=3.0) if down else rates(0.005)
            running.minute(next(rollouts.minutes(now, now, requests=40, metrics=four[:2])))
        rolled += running.rolled_back
    assert rolled <= allowed(policy.alpha, 60)


@pytest.mark.parametrize(
    ("name", "worse"),
    [
        ("errors", {"errors": 0.04}),
        ("latency", {"latency": 1.25}),
        ("cost", {"cost": 1.25}),
        ("quality", {"poor": 0.178}),
    ],
)
def test_a_canary_worse_by_the_margin_is_promoted_at_most_beta_often(
    rollouts: Any, rates: Any, four: Any, name: str, worse: dict[str, float]
) -> None:
    chosen = tuple(metric for metric in four if metric.name == name)
    policy = Policy(alpha=1e-9, beta=0.1, minimum_requests=1, metrics=chosen)
    good, bad = rates(errors=0.01), rates(**{"errors": 0.01, **worse})
    history = rollouts.history(good, 1000, chosen)
    decisions = [
        rollouts.run(good, bad, policy=policy, history=history, limit=2500)[0] for _ in range(60)
    ]
    assert decisions.count("promote") <= allowed(policy.beta, 60)
