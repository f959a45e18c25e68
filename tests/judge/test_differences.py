"""The interval of a difference covers it at every look at once, and shrinks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from llmops_judge.differences import Difference, split_is_odd

Law = Callable[[random.Random, int], float]
ALPHA = 0.1
RUNS, UNITS = 150, 1200


def share(control: float, other: float) -> Law:
    return lambda rng, arm: float(rng.random() < (other if arm else control))


def quality(control: float, other: float) -> Law:
    """Mostly good answers, some useless."""
    return lambda rng, arm: (
        min(1.0, rng.betavariate(8, 1) * (other if arm else control)) * (rng.random() > 0.05)
    )


def mean_of(law: Law, arm: int) -> float:
    rng = random.Random(99)
    return sum(law(rng, arm) for _ in range(200_000)) / 200_000


def drawn(law: Law, p: float, rng: random.Random) -> tuple[int, float, float]:
    arm = int(rng.random() < p)
    return arm, law(rng, arm), 1.0


@pytest.mark.parametrize(
    ("law", "p"),
    [
        (share(0.05, 0.05), 0.5),
        (share(0.5, 0.7), 0.5),
        (share(0.02, 0.03), 0.1),
        (quality(0.9, 1.0), 0.5),
    ],
)
def test_the_difference_is_covered_under_optional_stopping(law: Law, p: float) -> None:
    """Whoever stops at the first look that excludes the truth is wrong in at most alpha of runs."""
    truth = mean_of(law, 1) - mean_of(law, 0)
    missed = 0
    for seed in range(RUNS):
        rng = random.Random(seed)
        known = Difference(p)
        for unit in range(UNITS):
            known = known.after([drawn(law, p, rng)])
            if unit % 10 == 9 and not known.covers(truth, ALPHA):
                missed += 1
                break
    assert missed / RUNS <= ALPHA


def test_batches_of_any_size_cover_too_while_both_arms_drift() -> None:
    missed = 0
    for seed in range(RUNS):
        rng = random.Random(seed)
        known = Difference(0.5)
        for batch in range(60):
            level = 0.2 + 0.6 * batch / 60
            known = known.after(
                [drawn(share(level, level), 0.5, rng) for _ in range(rng.randint(1, 40))]
            )
            if not known.covers(0, ALPHA):
                missed += 1
                break
    assert missed / RUNS <= ALPHA


def test_a_real_difference_is_found_and_a_larger_one_sooner() -> None:
    def found_after(law: Law) -> int:
        rng, known = random.Random(1), Difference(0.5)
        for unit in range(20_000):
            known = known.after([drawn(law, 0.5, rng)])
            if not known.covers(0, 0.05):
                return unit
        return 20_000

    small, large = found_after(share(0.5, 0.6)), found_after(share(0.5, 0.8))
    assert large < 400
    assert large < small < 10_000


def test_the_interval_shrinks_and_encloses_the_estimate() -> None:
    rng, known, widths = random.Random(2), Difference(0.3), []
    for unit in range(8000):
        known = known.after([drawn(quality(0.8, 0.9), 0.3, rng)])
        if unit in (99, 999, 7999):
            low, high = known.interval(0.05)
            assert low < known.estimate < high
            widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2] / 1.2


def test_what_is_covered_is_what_lies_between_the_ends() -> None:
    known = Difference(0.4).after([(0, 0.5, 300.0), (1, 0.7, 200.0)])
    low, high = known.interval(0.05)
    assert [known.covers(d, 0.05) for d in (low - 1e-6, low + 1e-6, high - 1e-6, high + 1e-6)] == [
        False,
        True,
        True,
        False,
    ]


def test_before_the_first_unit_everything_is_possible() -> None:
    assert Difference(0.5).interval(0.05) == (-1.0, 1.0)
    assert Difference(0.5).needs(0.05) is None


def test_the_width_is_within_twice_that_of_an_interval_for_one_look() -> None:
    rng, known = random.Random(3), Difference(0.5)
    for _ in range(5000):
        known = known.after([drawn(share(0.5, 0.5), 0.5, rng)])
    low, high = known.interval(0.05)
    once = 2 * 1.96 * (4 * 0.25 / 5000) ** 0.5
    assert once < high - low < 2 * once


def test_the_forecast_of_units_is_about_right() -> None:
    law = share(0.5, 0.6)
    rng, known = random.Random(4), Difference(0.5)
    for _ in range(500):
        known = known.after([drawn(law, 0.5, rng)])
    needs = known.needs(0.05)
    assert needs is not None and 100 < needs < 8000
    assert known.needs(0.05, within=0.9) == 0
    settled = known.after([(0, 0.5, 20_000.0), (1, 0.6, 20_000.0)])
    assert settled.needs(0.05) == 0


def test_swapping_the_arms_turns_the_interval_round() -> None:
    rng, one, other = random.Random(5), Difference(0.3), Difference(0.7)
    for _ in range(300):
        arm, value, count = drawn(share(0.4, 0.6), 0.3, rng)
        one, other = one.after([(arm, value, count)]), other.after([(1 - arm, value, count)])
    low, high = one.interval(0.05)
    assert other.interval(0.05) == pytest.approx((-high, -low))


def test_a_split_that_the_weights_do_not_make_is_odd() -> None:
    assert split_is_odd([600, 400], [0.5, 0.5])
    assert not split_is_odd([520, 480], [0.5, 0.5])
    assert not split_is_odd([90, 10], [0.9, 0.1])
    assert split_is_odd([90, 10], [1.0, 0.0])
    assert not split_is_odd([0, 0], [0.5, 0.5])


def test_a_fair_split_is_seldom_called_odd_however_often_one_looks() -> None:
    called = 0
    for seed in range(RUNS):
        rng, counts = random.Random(seed), [0, 0]
        for _ in range(UNITS):
            counts[rng.random() < 0.3] += 1
            if split_is_odd(counts, [0.7, 0.3]):
                called += 1
                break
    assert called <= 1
