"""The statistics of evaluations against slower or simulated truths."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_runbooks import eval_statistics as statistics


def slow_score(gained: int, lost: int, n: int, difference: float) -> float:
    """The score statistic with the nuisance share found by climbing the likelihood."""

    def likelihood(nuisance: float) -> float:
        shares = (nuisance + difference, nuisance, 1 - 2 * nuisance - difference)
        counts = (gained, lost, n - gained - lost)
        return sum(
            count * (math.log(share) if share > 0 else -1e9)
            for count, share in zip(counts, shares, strict=True)
            if count
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(200):
        third = (high - low) / 3
        if likelihood(low + third) < likelihood(high - third):
            low += third
        else:
            high -= third
    variance = n * (2 * low + difference - difference**2)
    return (gained - lost - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(3, 8, 50), (8, 3, 50), (1, 1, 30), (12, 2, 400)]
)
def test_tangos_bounds_are_where_the_score_test_turns(gained: int, lost: int, n: int) -> None:
    low, high = statistics.tango(gained, lost, n)
    assert slow_score(gained, lost, n, low) == pytest.approx(statistics.Z, abs=1e-3)
    assert slow_score(gained, lost, n, high) == pytest.approx(-statistics.Z, abs=1e-3)


def test_tangos_interval_without_a_flip_is_what_algebra_says() -> None:
    low, high = statistics.tango(0, 0, 100)
    bound = statistics.Z**2 / (100 + statistics.Z**2)
    assert [low, high] == pytest.approx([-bound, bound], abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_tangos_interval_holds_the_difference_and_mirrors(a: int, b: int, rest: int) -> None:
    n = a + b + rest + 1
    low, high = statistics.tango(a, b, n)
    assert -1 <= low <= (a - b) / n + 1e-6 and (a - b) / n - 1e-6 <= high <= 1
    mirrored = statistics.tango(b, a, n)
    assert [low, high] == pytest.approx([-mirrored[1], -mirrored[0]], abs=1e-6)


def test_tangos_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance, covered, runs = random.Random(1), 0, 1500
    for _ in range(runs):
        drawn = chance.choices((1, -1, 0), (0.08, 0.04, 0.88), k=150)
        low, high = statistics.tango(drawn.count(1), drawn.count(-1), 150)
        covered += low <= 0.04 <= high
    assert covered / runs >= 0.93


def test_wilson_and_the_bootstrap() -> None:
    assert statistics.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert statistics.wilson(10, 10)[1] == pytest.approx(1.0)
    values = [float(n % 7) for n in range(200)]
    low, high = statistics.bootstrap(values)
    assert low < sum(values) / 200 < high
    assert statistics.bootstrap(values) == (low, high)
    assert statistics.bootstrap([0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 0.021484)]
)
def test_mcnemars_exact_p(gained: int, lost: int, p: float) -> None:
    assert statistics.mcnemar(gained, lost) == pytest.approx(p, abs=1e-6)


def test_kappa_and_spearman_on_examples_worked_by_hand() -> None:
    words = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert statistics.kappa(words) == pytest.approx(0.4)
    assert statistics.kappa([(True, True)] * 3) is None
    assert statistics.spearman([(1, 1), (2, 3), (3, 2), (4, 4)]) == pytest.approx(0.8)
    assert statistics.spearman([(1, 10), (2, 9), (3, 1)]) == pytest.approx(-1)
    assert statistics.spearman([(1, 1), (1, 2), (2, 2)]) == pytest.approx(0.5)
    assert statistics.spearman([(1, 1), (1, 2)]) is None


def test_an_agreement_has_an_interval_unless_it_is_hardly_defined() -> None:
    pairs = [(n / 10, (n + n % 3) / 12) for n in range(11)]
    found = statistics.resampled(statistics.spearman, pairs)
    assert found is not None and found[0] < 1 and found[1] <= 1
    assert statistics.resampled(statistics.kappa, [(True, True)] * 4) is None


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [statistics.percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert statistics.percentile([7.0], 0.99) == 7.0
