"""Metric math: the little that is known, and the clear refusal of the rest."""

from __future__ import annotations

import pytest

from llmops_localcloud.cloudwatch.expression import ExpressionError, evaluate, parse
from llmops_localcloud.cloudwatch.query import QueryError, checked_period, checked_stat, read

SERIES = {"a": {0: 10.0, 60: 20.0, 120: 30.0}, "b": {0: 2.0, 60: 0.0}, "none": {}}


def value(text: str) -> dict[int, float]:
    return evaluate(parse(text), lambda name: SERIES[name], range(0, 240, 60))


def test_operators_precedence_and_parentheses() -> None:
    assert value("1 + 2 * a - (a - 3) / 2") == {0: 17.5, 60: 32.5, 120: 47.5}
    assert value("-a * 2")[0] == -20


def test_two_series_keep_common_times_and_a_division_by_zero_is_left_out() -> None:
    assert value("a + b") == {0: 12.0, 60: 20.0}
    assert value("a / b") == {0: 5.0}


def test_fill_puts_a_number_where_nothing_is() -> None:
    assert value("FILL(b, 7)") == {0: 2.0, 60: 0.0, 120: 7.0, 180: 7.0}
    assert value("100*(FILL(none,0)/a)") == {0: 0.0, 60: 0.0, 120: 0.0}


@pytest.mark.parametrize(
    "text",
    [
        "IF(a > 1, 1, 0)",
        "FILL(a, REPEAT)",
        "SUM(METRICS())",
        "a ** 2",
        "a > 1",
        "SELECT x",
        "1 + 1",
    ],
)
def test_what_is_not_known_is_refused_with_the_expression(text: str) -> None:
    with pytest.raises(ExpressionError, match="Error in expression"):
        parse(text)


def test_an_expression_over_an_unknown_id_is_refused() -> None:
    with pytest.raises(QueryError, match="no query has id b"):
        read([{"Id": "a", "Expression": "b * 2"}])


@pytest.mark.parametrize("stat", ["Median", "tm90", "p101", "p", "IQM"])
def test_statistics_that_are_not_computed_are_refused(stat: str) -> None:
    with pytest.raises(QueryError, match=f"The statistic {stat} is not supported"):
        checked_stat(stat)


def test_periods_are_short_ones_or_whole_minutes() -> None:
    assert [checked_period(p) for p in (1, 30, 60, "300")] == [1, 30, 60, 300]
    for period in (0, 7, 90):
        with pytest.raises(QueryError, match="multiple of 60"):
            checked_period(period)
