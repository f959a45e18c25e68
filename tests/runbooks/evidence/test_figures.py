"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest

from llmops_runbooks import figures


@pytest.mark.parametrize(
    ("figure", "statistic", "unit", "text"),
    [
        (0.061, "share", "", "6.1 %"),
        (0.0, "share", "", "0.0 %"),
        (812.4, "p95", "ms", "812 ms"),
        (12_345.0, "p95", "ms", "12.3 s"),
        (1_118.0, "mean", "µ$", "$0.00112"),
        (12_400_000.0, "mean", "µ$", "$12.40"),
        (0.0, "mean", "µ$", "$0.00"),
        (0.857, "mean", "", "0.86"),
        (1234.5, "mean", "", "1,234"),
        (3.0, "mean", "rows", "3.00 rows"),
        (None, "mean", "", "–"),
    ],
)
def test_a_value_is_written_in_its_unit(
    figure: float | None, statistic: str, unit: str, text: str
) -> None:
    assert figures.value(figure, statistic=statistic, unit=unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (0.2, "0.2"), (0.004, "0.004"), (132.4, "132"), (1.3e12, "1.3·10¹²")],
)
def test_evidence_has_as_many_digits_as_mean_something(value: float, text: str) -> None:
    assert figures.evidence(value) == text


def test_times_are_told_as_a_stopwatch_and_as_a_duration() -> None:
    assert [figures.stopwatch(seconds) for seconds in (42, 102, 3723)] == [
        "0:42",
        "1:42",
        "1:02:03",
    ]
    assert [figures.duration(seconds) for seconds in (0, 93, 3600)] == ["0 s", "1 min 33 s", "1 h"]


def test_what_is_needed_is_requests_and_time() -> None:
    assert figures.needs({"needs_requests": 600, "needs_minutes": 7 / 6}) == (
        "~600 requests, 1 min 10 s"
    )
    assert (
        figures.needs({"needs_requests": 9000, "needs_minutes": 13.2}) == "~9,000 requests, 13 min"
    )
    assert figures.needs({"needs_requests": None, "needs_minutes": None}) == ""
