"""What each arm showed, and how surely: shares, means and p95 from counts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import pytest

from llmops_judge.intervals import interval, ranks, statistic, value_at, wilson
from llmops_judge.policy import Metric
from llmops_judge.scales import Scale, cell

ERRORS = Metric("errors")
LATENCY = Metric("latency", "ratio", margin=1.25, statistic="p95", unit="ms")
COST = Metric("cost", "ratio", margin=1.25, statistic="mean", unit="µ$")
QUALITY = Metric("quality", "unit", "higher", margin=0.05, statistic="mean")


def counted(scale: Scale, values: list[float]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        counts[cell(scale, value)] = counts.get(cell(scale, value), 0) + 1
    return counts


@pytest.mark.parametrize("metric", [ERRORS, LATENCY, COST, QUALITY])
def test_nothing_seen_has_no_value_and_no_interval(metric: Metric) -> None:
    figures = interval(metric, {})
    assert (figures.n, figures.value, figures.low, figures.high) == (0, None, None, None)
    assert statistic(metric, {}) is None


def test_a_share_has_wilsons_interval() -> None:
    """10 of 100: 0.0552 to 0.1744, as in Newcombe 1998."""
    figures = interval(ERRORS, {0: 90, 1: 10})
    assert (figures.n, figures.value) == (100, 0.1)
    assert figures.low == pytest.approx(0.0552, abs=1e-4)
    assert figures.high == pytest.approx(0.1744, abs=1e-4)


def test_no_errors_do_not_prove_that_there_are_none() -> None:
    low, high = wilson(0, 50)
    assert low == 0
    assert 0.06 < high < 0.08


def test_p95_is_interpolated_within_its_cell_by_factors() -> None:
    assert value_at("ratio", {40: 100}, 0) == pytest.approx(2**9.75)
    assert value_at("ratio", {40: 100}, 100) == pytest.approx(2**10)
    assert statistic(LATENCY, {40: 100}) == pytest.approx(2 ** (9.75 + 0.25 * 0.95))


def test_p95_of_many_values_is_close_to_the_true_one() -> None:
    chance = random.Random(7)
    values = [800 * math.exp(chance.gauss(0, 0.4)) for _ in range(20_000)]
    figures = interval(LATENCY, counted("ratio", values))
    true = 800 * math.exp(1.644854 * 0.4)
    assert figures.value is not None
    assert figures.value == pytest.approx(true, rel=0.04)
    assert figures.low is not None
    assert figures.high is not None
    assert figures.low < figures.value < figures.high < 1.1 * figures.low


@pytest.mark.parametrize("n", [1, 20, 72, 100, 400, 1000, 1001, 5000])
def test_the_ranks_around_p95_enclose_it_and_are_within_the_outcomes(n: int) -> None:
    low, high = ranks(n, 0.95)
    assert 0 <= low < high <= n
    assert low <= 0.95 * n <= high or high == n


def test_with_fewer_than_72_outcomes_no_rank_lies_surely_above_p95() -> None:
    assert ranks(71, 0.95)[1] == 71
    assert 1 - 0.95**71 < 0.975 <= 1 - 0.95**72
    assert ranks(200, 0.95)[1] < 200


def test_binomial_ranks_agree_with_their_normal_limit() -> None:
    exact, limit = ranks(1000, 0.95), ranks(1001, 0.95)
    assert exact == pytest.approx(limit, abs=3)


def test_one_outcome_has_a_mean_and_no_interval() -> None:
    figures = interval(QUALITY, {17: 1})
    assert figures.n == 1
    assert figures.value == pytest.approx(0.825)
    assert (figures.low, figures.high) == (None, None)


def test_the_interval_of_a_mean_stays_on_its_scale() -> None:
    quality = interval(QUALITY, {20: 4, 0: 1})
    cost = interval(COST, {20: 50, 60: 2})
    assert quality.high == 1.0
    assert cost.low is not None
    assert cost.low > 0


def test_equal_outcomes_are_known_no_better_than_their_cell() -> None:
    figures = interval(QUALITY, {18: 100})
    assert figures.low is not None
    assert figures.high is not None
    assert figures.high - figures.low == pytest.approx(2 * 1.96 * 0.05 / math.sqrt(1200), rel=0.01)


def _errors(chance: random.Random) -> float:
    return float(chance.random() < 0.08)


def _latency(chance: random.Random) -> float:
    return 800 * math.exp(chance.gauss(0, 0.4))


def _quality(chance: random.Random) -> float:
    return min(1.0, max(0.0, chance.gauss(0.7, 0.15)))


TRUTHS: Mapping[str, tuple[Metric, Callable[[random.Random], float], float]] = {
    "share": (ERRORS, _errors, 0.08),
    "p95": (LATENCY, _latency, 800 * math.exp(1.644854 * 0.4)),
    "mean of a ratio": (COST, _latency, 800 * math.exp(0.08)),
    "mean of a unit": (QUALITY, _quality, 0.6985),
}


@pytest.mark.parametrize("of", TRUTHS)
def test_intervals_cover_the_truth_about_as_often_as_they_say(of: str) -> None:
    metric, draw, truth = TRUTHS[of]
    chance = random.Random(3)
    covered = 0
    for _ in range(300):
        figures = interval(metric, counted(metric.scale, [draw(chance) for _ in range(150)]))
        assert figures.low is not None
        assert figures.high is not None
        covered += figures.low <= truth <= figures.high
    assert covered >= 0.90 * 300


def test_expected_counts_may_be_fractions() -> None:
    assert statistic(ERRORS, {0: 9.5, 1: 0.5}) == pytest.approx(0.05)
    assert interval(LATENCY, {40: 0.5, 41: 99.5}).n == 100
