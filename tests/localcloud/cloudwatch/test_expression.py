"""Metric math: what is known, and the clear refusal of the rest."""

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


def test_comparisons_and_logic_are_one_or_zero() -> None:
    assert value("a >= 20") == {0: 0.0, 60: 1.0, 120: 1.0}
    assert value("a > 5 AND FILL(b, 1) == 0 OR a == 10") == {0: 1.0, 60: 1.0, 120: 0.0}
    assert value("(a > 15) || (b != 0)") == {0: 1.0, 60: 1.0}


def test_if_takes_a_side_at_each_time_and_nothing_where_the_side_has_nothing() -> None:
    assert value("IF(a > 10, 100*b/a, 0)") == {0: 0.0, 60: 0.0}
    assert value("IF(FILL(b, 0) > 0, a, -1)") == {0: 10.0, 60: -1.0, 120: -1.0, 180: -1.0}
    assert value("IF(a > 10, 1)") == {60: 1.0, 120: 1.0}
    assert value("IF(none, 1, 0)") == {}


def test_a_list_is_summed_up_at_each_time_and_one_series_over_all_of_them() -> None:
    assert value("MAX([FILL(a,0),FILL(b,0)])/10") == {0: 1.0, 60: 2.0, 120: 3.0, 180: 0.0}
    assert value("MIN([a, b, 5])") == {0: 2.0, 60: 0.0, 120: 5.0}
    assert value("SUM([a, b])") == {0: 12.0, 60: 20.0, 120: 30.0}
    assert value("60 * a / MAX(a) + AVG(a)") == {0: 40.0, 60: 60.0, 120: 80.0}


@pytest.mark.parametrize(
    "text",
    [
        "FILL(a, REPEAT)",
        "SUM(METRICS())",
        "MAX(a, b)",
        "MAX([])",
        "IF(a)",
        "1 < a < 2",
        "a ** 2",
        "not a",
        "SELECT x",
        "True + a",
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
