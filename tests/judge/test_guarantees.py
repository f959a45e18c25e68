"""What the judge promises: how rarely it errs, whatever the rates, the weight and the looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_judge import Judge, Metric, Minute, Policy, Sample, Tally, against, harmless, share
from llmops_judge.observations import Pair

rate = st.floats(0.0, 1.0)
weights = st.floats(0.01, 0.9)
pasts = st.integers(0, 5000).flatmap(
    lambda n: st.integers(0, n).map(lambda bad: Tally(n, bad)),
)
ONE_OF_EACH = {
    ("canary", 1): Pair(canary=Tally(1, 1)),
    ("canary", 0): Pair(canary=Tally(1, 0)),
    ("baseline", 1): Pair(baseline=Tally(1, 1)),
    ("baseline", 0): Pair(baseline=Tally(1, 0)),
}


def expectation(
    value: Callable[[Pair], float], baseline: float, canary: float, weight: float
) -> float:
    """The mean of `value(pair)` over one request's label and outcome."""
    chances = {
        ("canary", 1): weight * canary,
        ("canary", 0): weight * (1 - canary),
        ("baseline", 1): (1 - weight) * baseline,
        ("baseline", 0): (1 - weight) * (1 - baseline),
    }
    return sum(chances[key] * value(pair) for key, pair in ONE_OF_EACH.items())


def factor(expert: tuple[float, float], weight: float) -> Callable[[Pair], float]:
    """What one expert's wealth is multiplied by."""
    return lambda pair: math.exp(against.gain(expert, pair, weight))


def total(logs: Iterable[float]) -> float:
    """The wealth of all bets together."""
    return sum(math.exp(log) for log in logs)


@given(p=rate, weight=weights, past=pasts)
def test_identical_arms_gain_nothing_on_average_from_any_expert(
    p: float, weight: float, past: Tally
) -> None:
    for expert in against.bank(past, weight):
        mean = expectation(factor(expert, weight), p, p, weight)
        assert mean == pytest.approx(1, abs=1e-9)


@given(p=rate, better=rate, weight=weights, past=pasts)
def test_a_better_canary_loses_on_average(
    p: float, better: float, weight: float, past: Tally
) -> None:
    for expert in against.bank(past, weight):
        mean = expectation(factor(expert, weight), p, p * better, weight)
        assert mean <= 1 + 1e-9


@given(past=pasts, weight=weights, p=rate)
def test_waking_wealth_is_moved_and_not_made(past: Tally, weight: float, p: float) -> None:
    def wealth(pair: Pair) -> float:
        return total(against.bet(against.start(), past, pair, weight))

    assert expectation(wealth, p, p, weight) == pytest.approx(1, abs=1e-9)


@given(p=rate, weight=weights, past=pasts, margin=st.floats(0.005, 0.5))
def test_a_canary_worse_by_the_margin_gains_nothing_towards_promotion(
    p: float, weight: float, past: Tally, margin: float
) -> None:
    worse = min(1.0, p * (1 - margin) + margin)
    base = worse - margin
    mean = expectation(
        lambda pair: math.exp(
            harmless.total(harmless.bet(harmless.start(), past, pair, weight, margin))
        ),
        base,
        worse,
        weight,
    )
    assert mean <= 1 + 1e-9


@given(weight=weights)
def test_a_router_that_keeps_its_word_gains_nothing_for_the_ratio_check(weight: float) -> None:
    def wealth(pair: Pair) -> float:
        served = int(pair.baseline.n), int(pair.canary.n)
        return total(share.bet(share.start(), *served, weight))

    mean = expectation(wealth, 0, 0, weight)
    assert mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("errors", "poor", "weight"),
    [(0.0, 0.1, 0.1), (0.02, 0.1, 0.1), (0.2, 0.4, 0.1), (0.01, 0.3, 0.5), (0.05, 0.05, 0.02)],
)
def test_identical_canaries_are_rolled_back_at_most_alpha_often_however_often_one_looks(
    rollouts: Any, rates: Any, errors: float, poor: float, weight: float
) -> None:
    policy = Policy(alpha=0.1, beta=1e-300, minimum_requests=1)
    runs = 150
    same = rates(errors, poor)
    decisions = [
        rollouts.run(same, same, policy=policy, weight=weight, requests=20, limit=3000)[0]
        for _ in range(runs)
    ]
    allowed = policy.alpha * runs
    assert decisions.count("rollback") <= allowed + 2.6 * math.sqrt(allowed * (1 - policy.alpha))


def test_an_outage_of_both_arms_rolls_nothing_back_more_often_than_alpha(
    rollouts: Any, rates: Any
) -> None:
    policy = Policy(alpha=0.1, beta=1e-300, minimum_requests=1)
    runs = 100
    rolled = 0
    for _ in range(runs):
        judge = Judge(policy, 0.1)
        state = judge.start()
        for number in range(60):
            now = rates(0.3 if 20 <= number < 35 else 0.005)
            state = judge.minute(state, next(rollouts.minutes(now, now, requests=50)))
        rolled += judge.decided(state) == "rollback"
    assert rolled <= policy.alpha * runs + 2.6 * math.sqrt(9)


def test_a_canary_worse_by_the_margin_is_promoted_at_most_beta_often(
    rollouts: Any, rates: Any
) -> None:
    policy = Policy(alpha=1e-9, beta=0.1, minimum_requests=1)
    runs = 150
    decisions = [
        rollouts.run(rates(0.01), rates(0.04), policy=policy, limit=4000)[0] for _ in range(runs)
    ]
    assert decisions.count("promote") <= policy.beta * runs + 2.6 * math.sqrt(13.5)


def test_an_expert_on_swapped_labels_sees_the_opposite(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(alpha=0.01, beta=1e-300), 0.5)
    state = swapped = judge.start()
    minutes = rollouts.minutes(rates(0.0), rates(0.2), weight=0.5)
    for _ in range(30):
        minute = next(minutes)
        state = judge.minute(state, minute)
        swapped = judge.minute(swapped, Minute(minute.canary, minute.baseline))
    assert judge.decided(state) == "rollback"
    assert judge.decided(swapped) == "wait"


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)),
        max_size=12,
    )
)
def test_more_bad_canary_outcomes_in_a_minute_never_help_the_canary(
    minutes: list[tuple[int, int, int, int]],
) -> None:
    judge = Judge(Policy(metrics=(Metric("errors", margin=0.03),)), 0.1)
    state = judge.start()

    def minute(canary_bad: int, canary_good: int, bad: int, good: int) -> Minute:
        return Minute(
            Sample(bad + good, {"errors": Tally(bad + good, bad)}),
            Sample(
                canary_bad + canary_good, {"errors": Tally(canary_bad + canary_good, canary_bad)}
            ),
        )

    for bad, good, base_bad, base_good in minutes:
        observed = judge.minute(state, minute(bad, good, base_bad, base_good))
        if good:
            worse = judge.minute(state, minute(bad + 1, good - 1, base_bad, base_good))
            assert worse["family"] >= observed["family"] - 1e-9
            assert harmless.total(worse["metrics"]["errors"]["for"]) <= (
                harmless.total(observed["metrics"]["errors"]["for"]) + 1e-9
            )
        state = observed
