"""Axes a person would draw, and numbers a person would write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_runbooks.evidence import figures, scales


@pytest.mark.parametrize(
    ("high", "ticks"),
    [(100, [0, 20, 40, 60, 80, 100]), (0.07, [0, 0.02, 0.04, 0.06, 0.08]), (3, [0, 1, 2, 3])],
)
def test_ticks_are_round_and_reach_the_highest_value(high: float, ticks: list[float]) -> None:
    assert scales.linear(high, 0, 1).ticks == pytest.approx(ticks)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_every_value_lands_between_the_ends(high: float, value: float) -> None:
    assert 0 <= scales.linear(high, 0, 100)(value) <= 100 + 1e-6


def test_a_logarithmic_axis_shows_powers_of_ten() -> None:
    scale = scales.logarithmic(0.3, 4000, 100, 0)
    assert list(scale.ticks) == pytest.approx([0.1, 1, 10, 100, 1000, 10000])
    assert scale(1) == pytest.approx(80)
    assert scale(0) == 100


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min"), (93, "1 min 33 s"), (7260, "2 h 1 min")]
)
def test_durations_are_said_in_two_units(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.084, "0.084"), (3.4, "3.4"), (7218, "7,218"), (2.5e7, "2.5·10⁷")]
)
def test_evidence_has_as_many_digits_as_mean_something(value: float, text: str) -> None:
    assert figures.evidence(value) == text
