"""What a verdict says: one sentence with both arms' figures, and the figures behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmops_judge import CATALOGUE, History, Judge, Metric, Minute, Policy, Sample, Verdict
from llmops_judge.figures import amount, duration, listed, margin, number

ERRORS = Metric("errors")
LATENCY = Metric("latency", "ratio", margin=1.25, statistic="p95", unit="ms")
QUALITY = Metric("quality", "unit", "higher", margin=0.05, statistic="mean")
HISTORY = History(
    2000,
    {
        "errors": {0: 1990, 1: 10},
        "latency": {38: 600, 39: 800, 40: 600},
        "quality": {16: 300, 17: 800, 18: 300},
    },
)

Cells = Mapping[str, Mapping[int, float]]


def judged(
    metrics: tuple[Metric, ...],
    minutes: int,
    baseline: Cells,
    canary: Cells,
    *,
    elapsed: float | None = None,
    **settings: Any,
) -> Verdict:
    """The verdict after equal minutes of 180 and 20 requests."""
    judge = Judge(Policy(metrics=metrics, **settings), 0.1)
    state = judge.start(HISTORY)
    for _ in range(minutes):
        state = judge.minute(state, Minute(Sample(180, baseline), Sample(20, canary)))
    return judge.verdict(state, elapsed_minutes=minutes if elapsed is None else elapsed)


def test_a_rollback_names_the_metric_with_both_arms_the_evidence_and_its_bound() -> None:
    verdict = judged(
        (ERRORS, LATENCY),
        5,
        {"errors": {0: 179, 1: 1}, "latency": {39: 180}},
        {"errors": {0: 16, 1: 4}, "latency": {39: 20}},
    )
    assert verdict.decision == "rollback"
    assert "Errors 20.0 % of 100 in the canary, 0.6 % of 900 in the baseline" in verdict.reason
    assert "over all 2 gating metrics it reached" in verdict.reason
    assert verdict.reason.endswith("past the bound of 100.")


def test_a_rollback_on_one_metric_does_not_speak_of_a_family() -> None:
    verdict = judged((ERRORS,), 5, {"errors": {0: 179, 1: 1}}, {"errors": {0: 16, 1: 4}})
    assert verdict.decision == "rollback"
    assert "gating metrics" not in verdict.reason


def test_a_promotion_lists_the_margins_in_each_metrics_own_terms() -> None:
    metrics = ERRORS, LATENCY, QUALITY
    cells = {"errors": {0: 1.0}, "latency": {39: 1.0}, "quality": {16: 0.2, 17: 0.6, 18: 0.2}}
    arms = (
        {name: {cell: n * part for cell, part in of.items()} for name, of in cells.items()}
        for n in (180, 20)
    )
    verdict = judged(metrics, 60, *arms)
    assert verdict.decision == "promote"
    for text in (
        "errors less than 3 points more (evidence",
        "latency less than 25 % slower (evidence",
        "quality less than 0.05 lower (evidence",
        "the bound is 20.",
    ):
        assert text in verdict.reason


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("feedback", direction="higher", margin=0.1), "less than 10 points fewer"),
        (Metric("cost", "ratio", margin=1.1, statistic="mean", unit="µ$"), "10 % higher"),
        (Metric("speed", "ratio", "higher", margin=1.25, statistic="mean"), "20 % lower"),
        (Metric("risk", "unit", margin=0.05, statistic="mean"), "less than 0.05 higher"),
    ],
)
def test_margins_read_as_what_a_canary_may_do(metric: Metric, text: str) -> None:
    assert text in margin(metric)


def test_waiting_says_how_many_requests_and_minutes_are_missing() -> None:
    verdict = judged((ERRORS,), 4, {"errors": {0: 179, 1: 1}}, {"errors": {0: 20}})
    assert verdict.decision == "wait"
    errors = verdict.metrics[0]
    assert errors.needs_requests is not None
    assert errors.needs_minutes == pytest.approx(errors.needs_requests / 200, abs=0.1)
    assert f"about {errors.needs_requests:,} more requests" in verdict.reason
    assert f"({round(errors.needs_requests / 10):,} of the canary)" in verdict.reason
    assert "at this rate" in verdict.reason


def test_inconclusive_says_why_and_the_same_forecast() -> None:
    arms = {"errors": {0: 179, 1: 1}}, {"errors": {0: 20}}
    verdict = judged((ERRORS,), 4, *arms, elapsed=60)
    assert verdict.decision == "inconclusive"
    assert verdict.reason.startswith("No decision within 60 minutes: needs about ")
    verdict = judged((ERRORS,), 4, *arms, maximum_requests=800)
    assert verdict.decision == "inconclusive"
    assert verdict.reason.startswith("No decision within 800 requests: needs about ")
    assert verdict.metrics[0].needs_requests is not None


def test_a_proof_that_came_early_waits_for_the_minimum_of_minutes() -> None:
    arms = {"errors": {0: 180}}, {"errors": {0: 20}}
    verdict = judged((ERRORS,), 20, *arms, minimum_minutes=30)
    assert verdict.decision == "wait"
    assert "waits for 30 minutes of canary traffic (20.0 so far)" in verdict.reason
    assert judged((ERRORS,), 20, *arms, minimum_minutes=20).decision == "promote"


BAD_REFUSALS = (
    {"errors": {0: 180}, "refusals": {0: 178, 1: 2}},
    {"errors": {0: 20}, "refusals": {0: 10, 1: 10}},
)


def test_a_warn_metric_past_its_bound_warns_and_decides_nothing() -> None:
    refusals = Metric("refusals", margin=0.05, mode="warn", no_data="ignore")
    verdict = judged((ERRORS, refusals), 20, *BAD_REFUSALS)
    assert verdict.decision == "promote"
    assert len(verdict.warnings) == 1
    assert "Refusals 50.0 % of 400 in the canary, 1.1 % of 3,600" in verdict.warnings[0]
    assert verdict.metrics[1].decision == "rollback"


def test_a_pause_metric_past_its_bound_holds_for_a_person() -> None:
    refusals = Metric("refusals", margin=0.05, mode="pause", no_data="ignore")
    verdict = judged((ERRORS, refusals), 20, *BAD_REFUSALS)
    assert (verdict.decision, verdict.hold) == ("inconclusive", True)
    assert "Refusals 50.0 % of 400" in verdict.reason
    assert "this metric waits for a person" in verdict.reason


def test_an_observed_metric_is_shown_with_its_own_decision_and_nothing_else() -> None:
    refusals = Metric("refusals", margin=0.05, mode="observe", no_data="ignore")
    verdict = judged((ERRORS, refusals), 20, *BAD_REFUSALS)
    assert verdict.decision == "promote"
    assert verdict.warnings == ()
    assert verdict.metrics[1].decision == "rollback"
    assert verdict.metrics[1].against.value > 100


def test_a_metric_past_its_own_bound_says_that_the_family_is_not() -> None:
    """Ten gating metrics share the error rate, so one must be ten times as sure."""
    metrics = ERRORS, *(Metric(f"other{number}") for number in range(9))
    names = [metric.name for metric in metrics]
    good = [{name: {0: n} for name in names} for n in (180, 20)]
    bad = {**good[1], "errors": {0: 19, 1: 1}}
    for minutes in range(1, 20):
        verdict = judged(metrics, minutes, good[0], bad)
        if verdict.metrics[0].decision == "rollback":
            break
    assert verdict.decision == "wait"
    assert "but over all gating metrics it is" in verdict.reason


def test_the_verdict_is_json_with_intervals_modes_and_units() -> None:
    metrics = ERRORS, LATENCY
    arms: list[Cells] = [
        {"errors": {0: n}, "latency": {38: n / 4, 39: n / 2, 40: n / 4}} for n in (180, 20)
    ]
    verdict = judged(metrics, 3, *arms)
    value = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    errors, latency = value["metrics"]
    assert errors["canary"]["n"] == 60
    assert errors["canary"]["low"] == 0
    assert 0 < errors["canary"]["high"] < 0.1
    assert errors["against"]["bound"] == 100
    assert errors["for"]["bound"] == 20
    assert (latency["mode"], latency["statistic"], latency["unit"]) == ("rollback", "p95", "ms")
    assert latency["baseline"]["low"] < latency["baseline"]["value"] < latency["baseline"]["high"]
    assert value["share"]["bound"] == 10_000
    assert value["guards"] == []
    assert value["hold"] is False


def test_nothing_seen_yet_has_a_reason_too() -> None:
    judge = Judge(Policy(), 0.1)
    verdict = judge.verdict(judge.start())
    assert verdict.decision == "wait"
    assert "has 0 requests, but 50 are the minimum" in verdict.reason
    assert verdict.metrics[0].baseline.value is None
    assert verdict.metrics[0].needs_requests is None


def test_gating_metrics_that_nobody_reported_are_said() -> None:
    verdict = judged((Metric("timeouts", no_data="ignore"),), 5, {}, {})
    assert verdict.decision == "wait"
    assert verdict.reason == "No gating metric has been reported in both arms."


def test_every_reason_is_one_sentence_that_begins_with_a_capital() -> None:
    for minutes in range(1, 25):
        verdict = judged(
            (ERRORS, QUALITY),
            minutes,
            {"errors": {0: 179, 1: 1}, "quality": {16: 9, 17: 36, 18: 9}},
            {"errors": {0: 20}, "quality": {16: 1, 17: 4, 18: 1}},
        )
        assert verdict.reason[0].isupper()
        assert verdict.reason.endswith(".")
        assert ". " not in verdict.reason.replace("0. ", "")


def test_the_page_about_the_judge_lists_the_catalogue_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
    for metric in CATALOGUE.values():
        by = f"factor {metric.margin:g}" if metric.scale == "ratio" else f"{metric.margin:g}"
        if metric.scale == "share":
            by = f"{100 * metric.margin:g} points"
        if metric.tail_margin is not None:
            by += f", tail {100 * metric.tail_margin:g} points"
        shown = f"{metric.statistic} in {metric.unit}" if metric.unit else metric.statistic
        cells = f"`{metric.name}`", metric.scale, metric.direction, by, metric.mode, metric.no_data
        assert f"| {' | '.join(cells)} | {shown} |" in page


def test_the_page_about_the_judge_lists_every_key_of_the_policy() -> None:
    page = (Path(__file__).parents[2] / "docs" / "judge.md").read_text()
    settings = Policy().to_settings()
    keys = [key for key in settings if key not in ("golden", "metrics")]
    for key in [*keys, *(f"golden.{key}" for key in settings["golden"])]:
        assert f"| `{key}` |" in page
    for key in settings["metrics"]["latency"]:
        assert f"`{key}`" in page


def test_numbers_are_written_for_people() -> None:
    assert [number(value) for value in (0.314, 9.96, 12.4, 5300, 2.5e8)] == [
        "0.31",
        "10",
        "12",
        "5,300",
        "2.5·10⁸",
    ]
    assert amount(LATENCY, 1234.5) == "1,234 ms"
    assert amount(ERRORS, 0.0123) == "1.2 %"
    assert amount(QUALITY, 0.8549) == "0.855"
    assert amount(QUALITY, None) == "unknown"
    assert [duration(minutes) for minutes in (0.4, 12.3, 89, 300)] == [
        "1 minute",
        "12 minutes",
        "89 minutes",
        "5.0 hours",
    ]
    assert listed(["a", "b", "c"]) == "a, b and c"
