"""Which rollouts are rolled back, promoted or left open, and after how many requests."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

import pytest

from llmops_judge import Judge, Metric, Minute, Policy, PolicyError, Sample, Tally

RUNS = 40


def sample(n: int, errors: int = 0, poor: int = 0) -> Sample:
    return Sample(n, {"errors": Tally(n, errors), "quality": Tally(n - errors, poor)})


def outcomes(rollouts: Any, baseline: Any, canary: Any) -> tuple[list[str], float]:
    """The decisions of RUNS rollouts at 10 % and the median of the requests they took."""
    runs = [rollouts.run(baseline, canary) for _ in range(RUNS)]
    return [decision for decision, _ in runs], statistics.median(seen for _, seen in runs)


def test_a_good_canary_is_promoted_after_little_more_than_a_thousand_requests(
    rollouts: Any, rates: Any
) -> None:
    decisions, requests = outcomes(rollouts, rates(), rates())
    assert decisions.count("promote") >= RUNS - 1
    assert requests <= 1500


def test_six_percent_errors_are_rolled_back_well_before_a_thousand(
    rollouts: Any, rates: Any
) -> None:
    decisions, requests = outcomes(rollouts, rates(), rates(errors=0.06))
    assert decisions.count("rollback") >= RUNS - 1
    assert requests <= 800


def test_worse_answers_are_rolled_back_well_before_a_thousand(rollouts: Any, rates: Any) -> None:
    decisions, requests = outcomes(rollouts, rates(), rates(poor=0.35))
    assert set(decisions) == {"rollback"}
    assert requests <= 800


def test_a_release_that_goes_bad_late_is_still_caught(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(beta=1e-300), 0.1)
    state = judge.start()
    good = rollouts.minutes(rates(0.01), rates(0.01), requests=200)
    bad = rollouts.minutes(rates(0.01), rates(0.10), requests=200)
    for _ in range(40):
        state = judge.minute(state, next(good))
    assert judge.decided(state) == "wait"
    for _ in range(15):
        state = judge.minute(state, next(bad))
    assert judge.decided(state) == "rollback"


def test_nothing_is_decided_below_the_minimum_of_requests() -> None:
    judge = Judge(Policy(minimum_requests=50), 0.1)
    below = judge.minute(judge.start(), Minute(sample(450, poor=45), sample(49, errors=30)))
    assert judge.decided(below) == "wait"
    assert "the minimum" in judge.verdict(below).reason
    at = judge.minute(judge.start(), Minute(sample(450, poor=45), sample(50, errors=30)))
    assert judge.decided(at) == "rollback"


def test_a_rollback_sticks_when_later_minutes_look_better() -> None:
    judge = Judge(Policy(minimum_requests=1), 0.5)
    state = judge.minute(judge.start(), Minute(sample(200), sample(200, errors=30)))
    assert judge.decided(state) == "rollback"
    for _ in range(50):
        state = judge.minute(state, Minute(sample(200, errors=30), sample(200)))
    assert judge.decided(state) == "rollback"


def test_promotion_needs_every_deciding_metric() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start()
    for _ in range(30):
        state = judge.minute(
            state,
            Minute(
                Sample(90, {"errors": Tally(90, 0), "quality": Tally(0, 0)}),
                Sample(10, {"errors": Tally(10, 0), "quality": Tally(0, 0)}),
            ),
        )
    verdict = judge.verdict(state)
    assert [metric.decision for metric in verdict.metrics] == ["promote", "wait"]
    assert verdict.decision == "wait"


def test_an_observed_metric_decides_nothing() -> None:
    policy = Policy(
        minimum_requests=1,
        metrics=(Metric("errors", margin=0.03), Metric("quality", margin=0.1, mode="observe")),
    )
    judge = Judge(policy, 0.5)
    state = judge.start()
    for _ in range(20):
        state = judge.minute(state, Minute(sample(100), sample(100, poor=90)))
    assert judge.decided(state) == "promote"
    assert judge.verdict(state).metrics[1].against.value > 100


@pytest.mark.parametrize(("minutes", "decision"), [(59.9, "wait"), (60, "inconclusive")])
def test_undecided_at_the_limit_of_time_is_inconclusive(minutes: float, decision: str) -> None:
    judge = Judge(Policy(maximum_minutes=60), 0.1)
    state = judge.minute(judge.start(), Minute(sample(540, poor=54), sample(60, poor=6)))
    verdict = judge.verdict(state, elapsed_minutes=minutes)
    assert verdict.decision == decision
    assert ("No decision within 60 minutes" in verdict.reason) == (decision == "inconclusive")


def test_missing_data_is_never_a_promotion() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start()
    for _ in range(100):
        state = judge.minute(state, Minute(Sample(900), Sample(100)))
    assert judge.decided(state) == "wait"
    assert judge.verdict(state, elapsed_minutes=100).decision == "inconclusive"


def test_a_metric_missing_in_one_arm_is_skipped_in_both() -> None:
    minute = Minute(sample(90), Sample(10, {"errors": Tally(10, 0)}))
    assert minute.pair("quality") is None
    assert minute.pair("errors") is not None


@pytest.mark.parametrize("canary", [0, 20, 400])
def test_a_share_the_router_was_not_told_is_inconclusive(canary: int) -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(), Minute(sample(1000 - canary), sample(canary)))
    verdict = judge.verdict(state)
    assert verdict.decision == "inconclusive"
    assert "the router was told 10.0 %" in verdict.reason


@pytest.mark.parametrize("canary", [80, 100, 120])
def test_a_share_within_chance_is_fine(canary: int) -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(), Minute(sample(1000 - canary), sample(canary)))
    assert judge.decided(state) == "wait"


def test_the_forecast_is_about_right(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start()
    minutes = rollouts.minutes(rates(), rates(), requests=300)
    for _ in range(2):
        state = judge.minute(state, next(minutes))
    errors = judge.verdict(state).metrics[0]
    assert errors.needs_requests is not None
    assert 200 < errors.needs_requests < 1500
    assert errors.needs_minutes == pytest.approx(errors.needs_requests / 300, abs=0.1)


def test_a_metric_without_data_forecasts_nothing() -> None:
    judge = Judge(Policy(), 0.1)
    metric = judge.verdict(judge.start()).metrics[0]
    assert (metric.needs_requests, metric.needs_minutes) == (None, None)
    assert metric.baseline.value is None


def test_the_verdict_is_the_contracts_json() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(), Minute(sample(900, poor=90), sample(100, errors=9)))
    verdict = json.loads(json.dumps(judge.verdict(state).to_json(), allow_nan=False))
    assert verdict["decision"] == "rollback"
    assert verdict["requests"] == {"baseline": 900, "canary": 100}
    errors = verdict["metrics"][0]
    assert errors["canary"] == {"n": 100, "value": 0.09}
    assert errors["against"]["bound"] == 100
    assert errors["for"]["bound"] == 20
    assert errors["against"]["value"] >= 100
    assert "9.0 % of 100 in the canary, 0.0 % of 900 in the baseline" in verdict["reason"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"alpha": 2}, "alpha is 2"),
        ({"beta": 0}, "beta is 0"),
        ({"minimum_requests": 0}, "minimum_requests is 0"),
        ({"maximum_minutes": -1}, "maximum_minutes is -1"),
        ({"error_margin": 1.5}, "margin of errors is 1.5"),
        ({"inconclusive": "shrug"}, "inconclusive is 'shrug'"),
        ({"alpha": "often"}, "not a number"),
    ],
)
def test_an_impossible_policy_is_refused_in_one_sentence(
    table: dict[str, Any], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy.from_settings(table)


def test_numbers_may_arrive_as_text() -> None:
    assert Policy.from_settings({"alpha": "0.05", "minimum_requests": "10"}).alpha == 0.05


def test_a_metric_whose_ones_are_good_counts_zeros_as_bad() -> None:
    metric = Metric("resolved", margin=0.1, direction="higher")
    assert metric.is_bad(0)
    assert not metric.is_bad(1)


def test_importing_the_judge_takes_less_than_a_tenth_of_a_second() -> None:
    code = (
        "import json, dataclasses, typing, time; a = time.perf_counter();"
        "import llmops_judge; print(time.perf_counter() - a)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(run.stdout) < 0.1
