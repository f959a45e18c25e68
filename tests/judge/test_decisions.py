"""Which rollouts are rolled back, promoted or left open, and after how many requests."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from llmops_judge import CATALOGUE, History, Judge, Metric, Minute, Policy, Sample

ERRORS = Metric("errors", margin=0.03)
RUNS = 20


def sample(n: int, errors: int = 0, **more: dict[int, float]) -> Sample:
    return Sample(n, {"errors": {0: n - errors, 1: errors}, **more})


def policy(*metrics: Metric, **values: Any) -> Policy:
    """A policy of few metrics; errors alone if none is named."""
    return Policy(metrics=metrics or (ERRORS,), **{"contamination": (), **values})


def outcomes(rollouts: Any, baseline: Any, canary: Any, **more: Any) -> tuple[list[str], float]:
    """The decisions of RUNS rollouts of four metrics, and the median of the requests they took."""
    history = rollouts.history(baseline)
    runs = [rollouts.run(baseline, canary, history=history, **more) for _ in range(RUNS)]
    return [decision for decision, _ in runs], statistics.median(seen for _, seen in runs)


@pytest.mark.parametrize("good", [{}, {"latency": 0.8}, {"poor": 0.05, "cost": 0.9}])
def test_a_good_canary_is_promoted_within_about_three_thousand_requests(
    rollouts: Any, rates: Any, good: dict[str, float]
) -> None:
    decisions, requests = outcomes(rollouts, rates(), rates(**good))
    assert decisions.count("promote") >= RUNS - 1
    assert requests <= 3200


@pytest.mark.parametrize(
    ("bad", "most"),
    [
        ({"errors": 0.06}, 1200),
        ({"errors": 0.5}, 600),
        ({"poor": 0.35}, 800),
        ({"poor": 0.2}, 2600),
        ({"latency": 2.0}, 600),
        ({"latency": 1.3}, 1500),
        ({"cost": 3.0}, 600),
        ({"errors": 0.03, "poor": 0.2, "latency": 1.2}, 2000),
    ],
)
def test_a_bad_canary_is_rolled_back_in_time(
    rollouts: Any, rates: Any, bad: dict[str, float], most: int
) -> None:
    decisions, requests = outcomes(rollouts, rates(), rates(**bad))
    assert decisions.count("rollback") >= RUNS - 1
    assert requests <= most


def test_a_release_that_goes_bad_late_is_still_caught(rollouts: Any, rates: Any, four: Any) -> None:
    judge = Judge(Policy(beta=1e-300, metrics=four), 0.1)
    running = judge.resume(judge.start(rollouts.history(rates(0.01))))
    good = rollouts.minutes(rates(0.01), rates(0.01), requests=200)
    bad = rollouts.minutes(rates(0.01), rates(0.10), requests=200)
    for _ in range(30):
        running.minute(next(good))
    assert running.decided() == "wait"
    for _ in range(12):
        running.minute(next(bad))
    assert running.decided() == "rollback"


def test_nothing_is_decided_below_the_minimum_of_requests() -> None:
    judge = Judge(policy(minimum_requests=50), 0.1)
    below = judge.minute(judge.start(), Minute(sample(450), sample(49, errors=30)))
    assert judge.decided(below) == "wait"
    at = judge.minute(judge.start(), Minute(sample(450), sample(50, errors=30)))
    assert judge.decided(at) == "rollback"


def test_a_metric_that_few_requests_carry_needs_a_tenth_of_the_minimum() -> None:
    feedback = replace(CATALOGUE["feedback"], mode="rollback")
    judge = Judge(policy(ERRORS, feedback, minimum_requests=50), 0.5)
    few = Minute(sample(100, feedback={1: 40}), sample(100, feedback={0: 4}))
    state = judge.minute(judge.start(), few)
    assert judge.decided(state) == "wait"
    assert judge.decided(judge.minute(state, few)) == "rollback"


def test_a_rollback_sticks_when_later_minutes_look_better() -> None:
    judge = Judge(policy(minimum_requests=1), 0.5)
    state = judge.minute(judge.start(), Minute(sample(200), sample(200, errors=30)))
    assert judge.decided(state) == "rollback"
    for _ in range(50):
        state = judge.minute(state, Minute(sample(200, errors=30), sample(200)))
    assert judge.decided(state) == "rollback"


def test_a_promotion_must_be_proved_now() -> None:
    judge = Judge(policy(minimum_requests=1), 0.5)
    state = judge.start()
    for _ in range(3):
        state = judge.minute(state, Minute(sample(100), sample(100)))
    assert judge.decided(state) == "promote"
    state = judge.minute(state, Minute(sample(100), sample(100, errors=12)))
    assert judge.decided(state) != "promote"


def test_a_promotion_needs_every_gating_metric() -> None:
    quality = replace(CATALOGUE["quality"], tail_margin=None)
    judge = Judge(policy(ERRORS, quality), 0.1)
    state = judge.start()
    for _ in range(30):
        state = judge.minute(state, Minute(sample(90, quality={}), sample(10, quality={})))
    verdict = judge.verdict(state)
    assert [metric.decision for metric in verdict.metrics] == ["promote", "wait"]
    assert verdict.decision == "wait"


def test_a_metric_without_data_that_may_be_ignored_withholds_nothing() -> None:
    quality = replace(CATALOGUE["quality"], no_data="ignore")
    judge = Judge(policy(ERRORS, quality), 0.1)
    state = judge.start()
    for _ in range(30):
        state = judge.minute(state, Minute(sample(90), sample(10)))
    assert judge.decided(state) == "promote"


@pytest.mark.parametrize(
    ("mode", "decision"),
    [
        ("observe", "promote"),
        ("warn", "promote"),
        ("pause", "inconclusive"),
        ("rollback", "rollback"),
    ],
)
def test_how_much_a_metric_may_do_is_its_mode(mode: Any, decision: str) -> None:
    quality = replace(CATALOGUE["quality"], mode=mode)
    judge = Judge(policy(ERRORS, quality, minimum_requests=1), 0.5)
    state = judge.start()
    for _ in range(20):
        state = judge.minute(
            state, Minute(sample(100, quality={18: 100}), sample(100, quality={4: 100}))
        )
    verdict = judge.verdict(state)
    assert verdict.decision == decision
    assert verdict.hold == (mode == "pause")
    assert bool(verdict.warnings) == (mode == "warn")
    assert verdict.metrics[1].against.value > 100


def test_beyond_a_hard_limit_the_rollout_is_rolled_back_whatever_the_baseline_does() -> None:
    limited = replace(ERRORS, limit=0.2)
    judge = Judge(policy(limited), 0.5)
    both = Minute(sample(100, errors=25), sample(100, errors=25))
    state = judge.minute(judge.start(), both)
    assert judge.decided(state) == "rollback"
    assert [guard.guard for guard in judge.verdict(state).guards] == ["limit"]
    state = judge.minute(state, Minute(sample(1000), sample(1000)))
    assert judge.decided(state) == "rollback"
    free = Judge(policy(ERRORS), 0.5)
    assert free.decided(free.minute(free.start(), both)) == "wait"


@pytest.mark.parametrize(("p95", "decision"), [(40, "wait"), (42, "rollback")])
def test_a_hard_limit_is_held_against_the_metrics_own_statistic(p95: int, decision: str) -> None:
    latency = replace(CATALOGUE["latency"], limit=1200.0)
    judge = Judge(policy(latency), 0.5)
    counts = {"latency": {36: 90, p95: 10}}
    state = judge.minute(judge.start(), Minute(Sample(100, counts), Sample(100, counts)))
    assert judge.decided(state) == decision


@pytest.mark.parametrize(("minutes", "decision"), [(59.9, "wait"), (60, "inconclusive")])
def test_undecided_at_the_limit_of_time_is_inconclusive(minutes: float, decision: str) -> None:
    judge = Judge(policy(maximum_minutes=60), 0.1)
    state = judge.minute(judge.start(), Minute(sample(540), sample(60, errors=1)))
    verdict = judge.verdict(state, elapsed_minutes=minutes)
    assert (verdict.decision, verdict.hold) == (decision, False)


def test_undecided_at_the_limit_of_requests_is_inconclusive() -> None:
    judge = Judge(policy(maximum_requests=600), 0.1)
    state = judge.minute(judge.start(), Minute(sample(530), sample(60, errors=1)))
    assert judge.decided(state) == "wait"
    state = judge.minute(state, Minute(sample(9), sample(1)))
    assert judge.decided(state) == "inconclusive"


def test_nothing_is_promoted_before_the_minimum_of_minutes() -> None:
    judge = Judge(policy(minimum_minutes=10), 0.5)
    state = judge.start()
    for _ in range(5):
        state = judge.minute(state, Minute(sample(200), sample(200)))
    assert judge.verdict(state, elapsed_minutes=9.9).decision == "wait"
    assert judge.verdict(state, elapsed_minutes=10).decision == "promote"


def test_missing_data_is_never_a_promotion() -> None:
    judge = Judge(policy(), 0.1)
    state = judge.start()
    for _ in range(100):
        state = judge.minute(state, Minute(Sample(900), Sample(100)))
    assert judge.decided(state) == "wait"
    assert judge.verdict(state, elapsed_minutes=100).decision == "inconclusive"


def test_a_metric_missing_in_one_arm_is_skipped_in_both() -> None:
    minute = Minute(sample(90, quality={18: 90}), sample(10))
    assert minute.pair("quality") is None
    assert minute.pair("errors") == ({0: 90, 1: 0}, {0: 10, 1: 0})
    judge = Judge(policy(ERRORS, CATALOGUE["quality"]), 0.1)
    state = judge.minute(judge.start(), minute)
    assert state["metrics"]["quality"] == judge.start()["metrics"]["quality"]


@pytest.mark.parametrize("canary", [0, 20, 400])
def test_a_share_the_router_was_not_told_is_inconclusive(canary: int) -> None:
    judge = Judge(policy(), 0.1)
    state = judge.minute(judge.start(), Minute(sample(1000 - canary), sample(canary)))
    assert judge.decided(state) == "inconclusive"


def test_history_tells_the_judge_what_is_normal(rollouts: Any, rates: Any, four: Any) -> None:
    chosen = Policy(beta=1e-300, minimum_requests=1, metrics=four[1:2])
    same, slow = rates(), rates(latency=3.0)
    history = rollouts.history(same, 1000, four[1:2])

    def median(past: History | None) -> float:
        runs = [rollouts.run(same, slow, policy=chosen, history=past)[1] for _ in range(30)]
        return float(statistics.median(runs))

    assert median(history) < median(None)


def test_a_history_of_other_times_cannot_break_the_guarantee(
    rollouts: Any, rates: Any, four: Any
) -> None:
    wrong = rollouts.history(rates(errors=0.3, latency=5.0, poor=0.8))
    decisions = [rollouts.run(rates(), rates(), history=wrong, limit=3000)[0] for _ in range(RUNS)]
    assert decisions.count("rollback") <= 2
    caught = [rollouts.run(rates(), rates(errors=0.1), history=wrong)[0] for _ in range(RUNS)]
    assert caught.count("rollback") >= RUNS - 1


def test_importing_the_judge_takes_less_than_a_tenth_of_a_second() -> None:
    code = (
        "import json, dataclasses, typing, time; a = time.process_time();"
        "import llmops_judge; print(time.process_time() - a)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(run.stdout) < 0.1


def test_the_state_is_json(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(), next(rollouts.minutes(rates(), rates())))
    assert json.loads(json.dumps(state, allow_nan=False)) == state
