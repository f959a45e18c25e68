"""`llmops judge lint`: the policy in words, and only warnings that are true."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmops_judge.policy import CATALOGUE, Metric, Policy
from llmops_runbooks.judge_lint import Report, budget_of, lint, margin_words


def checked(table: dict[str, Any] | None = None, **keys: Any) -> Report:
    policy = Policy.from_settings(table or {})
    return lint(policy, source="judge.toml", weight=keys.pop("weight", 0.1), **keys)


def warned(table: dict[str, Any], **keys: Any) -> list[str]:
    """The warnings that the default policy does not have."""
    usual = checked(**keys).warnings
    return [warning for warning in checked(table, **keys).warnings if warning not in usual]


def test_the_default_policy_has_no_warning_at_200_requests_a_minute() -> None:
    assert checked(per_minute=200).warnings == ()
    assert checked().warnings == ()


def test_every_metric_is_a_row_with_its_margin_in_words() -> None:
    rows = {row.metric: row for row in checked().rows}
    assert list(rows) == list(CATALOGUE)
    assert rows["errors"].margin == "3 points more"
    assert rows["latency"].margin == "25 % more; 5 points more as bad as the worst 5 %"
    assert rows["quality"].margin == "0.05 lower; 5 points more as bad as the worst 5 %"
    assert rows["feedback"].margin == "10 points fewer"
    speed = Metric("speed", "ratio", "higher", margin=1.5, statistic="mean")
    assert margin_words(speed) == "33.3 % less"


def test_gating_metrics_say_what_proves_them_harmless() -> None:
    rows = {row.metric: row for row in checked().rows}
    assert rows["tokens"].needs is None
    assert rows["errors"].needs and 500 < rows["errors"].needs < 10_000


def test_a_tighter_margin_needs_more_and_a_heavier_canary_less() -> None:
    def needs(margin: float, weight: float = 0.1) -> int:
        found = checked({"metrics": {"errors": {"margin": margin}}}, weight=weight).rows[0].needs
        assert found
        return found

    assert needs(0.02) > needs(0.04)
    assert needs(0.03, weight=0.5) < needs(0.03)


def test_the_budget_is_the_lesser_of_requests_and_minutes_at_the_rate() -> None:
    assert budget_of(Policy(), None) is None
    assert budget_of(Policy(maximum_requests=900), None) == 900
    assert budget_of(Policy(maximum_minutes=60), 10) == 600
    assert budget_of(Policy(maximum_minutes=60, maximum_requests=900), 20) == 900


def test_a_margin_too_tight_for_the_budget_is_told_with_both_numbers() -> None:
    (warning,) = warned({"metrics": {"errors": {"margin": 0.005}}}, per_minute=200)
    assert re.match(r"errors: (about|more than) \d+,\d+ requests prove a good canary", warning)
    assert "within the margin (0.5 points more), but a rollout may take 12,000" in warning
    slow = checked(per_minute=10).warnings
    assert [text.split(":")[0] for text in slow] == ["errors", "latency", "cost", "quality"]


def test_a_budget_in_which_nothing_can_be_detected_is_told() -> None:
    def says(table: dict[str, Any]) -> bool:
        return any("so nothing will be detected" in text for text in warned(table))

    assert says({"alpha": 1e-50, "maximum_requests": 600})
    assert says({"maximum_requests": 300}), "a tenth of them is fewer than minimum_requests"
    assert not says({"maximum_requests": 600})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"metrics": {"quality": {"mode": "warn"}}}, "No metric of answer quality gates"),
        ({"inconclusive": "promote"}, 'inconclusive = "promote" gives all traffic'),
        ({"alpha": 0.2}, "alpha 0.2 allows 20 in 100 good releases"),
        ({"metrics": {"cost": {"no_data": "ignore"}}}, "cost gates with no_data"),
        ({"metrics": {"errors": {"limit": 1.0}}}, "metrics.errors.limit is 100 %, which no canary"),
        ({"metrics": {"quality": {"limit": 0.0}}}, "metrics.quality.limit is 0, which no canary"),
        ({"metrics": {"errors": {"limit": -0.1}}}, "which every canary is beyond"),
        ({"metrics": {"quality": {"limit": 1.5}}}, "which every canary is beyond"),
    ],
)
def test_what_will_disappoint_is_one_warning(table: dict[str, Any], says: str) -> None:
    (warning,) = warned(table)
    assert says in warning


@pytest.mark.parametrize(
    "table",
    [
        {"metrics": {"quality": {"mode": "warn"}, "feedback": {"mode": "rollback"}}},
        {"metrics": {"errors": {"limit": 0.2}, "latency": {"limit": 5000.0}}},
        {"metrics": {"tokens": {"no_data": "ignore"}}},
        {"inconclusive": "rollback", "alpha": 0.05},
    ],
)
def test_what_is_sensible_is_not_warned_of(table: dict[str, Any]) -> None:
    found = warned(table)
    assert [text for text in found if "feedback gates with" not in text] == []


def test_the_report_is_json() -> None:
    found = checked(per_minute=200).to_json()
    assert found["table"] == Policy().to_settings()
    assert found["rows"][0]["metric"] == "errors"
