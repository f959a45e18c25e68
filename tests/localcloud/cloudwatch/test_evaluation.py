"""When an alarm fires: AWS's tables of missing data, M out of N, and the words of the reason."""

from __future__ import annotations

import pytest

from llmops_localcloud.cloudwatch.evaluation import Setting, decide

START = 1772366400  # 2026-03-01 12:00:00 UTC


def verdict(data: str, needed: int, missing: str, periods: int = 3, current: str = "OK") -> str:
    """The state after points such as `- 0 X`: missing, good, breaching; "retain" if none."""
    points = [
        (START + 60 * i, {"-": None, "0": 1.0, "X": 9.0}[mark])
        for i, mark in enumerate(data.split())
    ]
    setting = Setting("GreaterThanThreshold", 5.0, periods, needed, missing)
    found = decide(setting, points, current)
    return found.state if found else "retain"


TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("data", "states"),
    [
        ("0 - X - X", "OK OK OK OK"),
        ("- - - - 0", "OK OK OK OK"),
        ("- - - - -", "INSUFFICIENT_DATA retain ALARM OK"),
        ("0 X X - X", "ALARM ALARM ALARM ALARM"),
        ("- - X - -", "ALARM retain ALARM OK"),
        ("- - - - X", "retain retain ALARM OK"),
    ],
)
def test_three_out_of_three(data: str, states: str) -> None:
    assert [verdict(data, 3, how) for how in TREATMENTS] == states.split()


@pytest.mark.parametrize(
    ("data", "states"),
    [
        ("0 - X - X", "ALARM ALARM ALARM ALARM"),
        ("0 0 X 0 X", "ALARM ALARM ALARM ALARM"),
        ("0 - X - -", "OK OK ALARM OK"),
        ("- - - - 0", "OK OK ALARM OK"),
        ("- - - X -", "ALARM retain ALARM OK"),
    ],
)
def test_two_out_of_three(data: str, states: str) -> None:
    assert [verdict(data, 2, how) for how in TREATMENTS] == states.split()


def test_the_number_of_breaching_points_decides_on_both_sides_of_the_limit() -> None:
    assert verdict("0 0 X 0 0", 2, "missing") == "OK"
    assert verdict("0 0 X X 0", 2, "missing") == "ALARM"
    assert verdict("X X 0 0 0", 2, "missing") == "OK"


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        ("GreaterThanThreshold", "OK", "OK", "ALARM"),
        ("GreaterThanOrEqualToThreshold", "OK", "ALARM", "ALARM"),
        ("LessThanThreshold", "ALARM", "OK", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM", "ALARM", "OK"),
    ],
)
def test_operators_at_below_and_above_the_threshold(
    operator: str, below: str, at: str, above: str
) -> None:
    setting = Setting(operator, 5.0, 1, 1)
    states = [decide(setting, [(START, value)], "OK") for value in (4.9, 5.0, 5.1)]
    assert [one.state for one in states if one] == [below, at, above]


def reason(values: list[float | None], setting: Setting, current: str = "OK") -> str:
    points = [(START + 60 * i, value) for i, value in enumerate(values)]
    found = decide(setting, points, current)
    assert found is not None
    return found.reason


def test_reasons_are_worded_as_aws_words_them() -> None:
    one = Setting("GreaterThanThreshold", 5, 1, 1)
    assert reason([99.5], one) == (
        "Threshold Crossed: 1 datapoint [99.5 (01/03/26 12:00:00)] "
        "was greater than the threshold (5.0)."
    )
    assert reason([1.0], one, "ALARM") == (
        "Threshold Crossed: 1 datapoint [1.0 (01/03/26 12:00:00)] "
        "was not greater than the threshold (5.0)."
    )
    two = Setting("GreaterThanOrEqualToThreshold", 5, 3, 2)
    assert reason([6.0, 1.0, 7.0], two) == (
        "Threshold Crossed: 2 out of the last 3 datapoints "
        "[7.0 (01/03/26 12:02:00), 6.0 (01/03/26 12:00:00)] "
        "were greater than or equal to the threshold (5.0) "
        "(minimum 2 datapoints for OK -> ALARM transition)."
    )
    quiet = Setting("GreaterThanThreshold", 5, 3, 3, "notBreaching")
    assert reason([None] * 5, quiet) == (
        "Threshold Crossed: no datapoints were received for 3 periods and "
        "3 missing datapoints were treated as [NonBreaching]."
    )
    loud = Setting("GreaterThanThreshold", 5, 3, 3, "breaching")
    assert reason([None, None, None, None, 9.0], loud) == (
        "Threshold Crossed: 1 datapoint was received for 3 periods and "
        "2 missing datapoints were treated as [Breaching]."
    )
    assert reason([None], one) == "Insufficient Data: 1 datapoint was unknown."
