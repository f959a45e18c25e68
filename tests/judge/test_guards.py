"""Each guard fires soon on its cause, says so with the numbers, and stays silent without it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from llmops_judge import (
    Guard,
    History,
    Judge,
    Metric,
    Minute,
    Policy,
    Sample,
    contamination,
    guards,
    outage,
    share,
)

Labels = Mapping[str, Mapping[str, int]]
Mix = Mapping[str, float]


def sample(n: int, errors: int = 0, labels: Labels | None = None, latency: int = 39) -> Sample:
    """n requests in good health, but for the errors."""
    counts = {
        "errors": {0: n - errors, 1: errors},
        "latency": {latency: n},
        "cost": {40: n - errors},
        "quality": {17: n - errors},
    }
    return Sample(n, counts, labels or {})


HISTORY = History(
    2000, {"errors": {0: 1990, 1: 10}, "latency": {38: 600, 39: 800, 40: 600}, "cost": {40: 1990}}
)


def served(chance: random.Random, requests: int, weight: float) -> tuple[int, int]:
    canary = sum(chance.random() < weight for _ in range(requests))
    return requests - canary, canary


def drawn(chance: random.Random, n: int, mix: Mix) -> dict[str, int]:
    counts = dict.fromkeys(mix, 0)
    for label in chance.choices(list(mix), list(mix.values()), k=n):
        counts[label] += 1
    return {label: count for label, count in counts.items() if count}


def fired(judge: Judge, minutes: Iterator[Minute], at_most: int) -> Iterator[tuple[Guard, ...]]:
    """The guards after each minute."""
    state = judge.start(HISTORY)
    for minute, _ in zip(minutes, range(at_most), strict=False):
        state = judge.minute(state, minute)
        yield guards.fired(judge.policy, judge.weight, state)


def named(found: tuple[Guard, ...], name: str) -> Guard | None:
    return next((guard for guard in found if guard.guard == name), None)


def first(found: Iterator[tuple[Guard, ...]], name: str) -> tuple[int, str]:
    """The first minute in which the guard fires, and what it says; 0 if it never does."""
    for number, each in enumerate(found, start=1):
        guard = named(each, name)
        if guard is not None:
            return number, guard.text
    return 0, ""


def contaminated(
    kind: str, baseline: Mix, canary: Mix, *, seed: int = 1, weight: float = 0.1
) -> Iterator[Minute]:
    chance = random.Random(seed)
    while True:
        sizes = served(chance, 100, weight)
        yield Minute(
            *(
                sample(n, labels={kind: drawn(chance, n, mix)})
                for n, mix in zip(sizes, (baseline, canary), strict=True)
            )
        )


# sample ratio


@pytest.mark.parametrize("weight", [0.05, 0.1, 0.5])
def test_the_share_evidence_has_expectation_one_under_the_null(weight: float) -> None:
    total = sum(
        math.comb(12, k)
        * weight**k
        * (1 - weight) ** (12 - k)
        * math.exp(share.evidence(12 - k, k, weight))
        for k in range(13)
    )
    assert total == pytest.approx(1, abs=1e-9)


def test_a_router_at_seven_instead_of_ten_percent_is_found() -> None:
    chance = random.Random(5)
    judge = Judge(Policy(), 0.1)
    minutes = (Minute(*map(sample, served(chance, 200, 0.07))) for _ in iter(int, 1))
    minute, text = first(fired(judge, minutes, 60), "sample_ratio")
    assert 0 < minute <= 25
    assert "the router was told 10.0 %" in text


def test_a_fair_router_is_hardly_ever_accused() -> None:
    chance = random.Random(6)
    limit = -math.log(share.LIMIT_P)
    for _ in range(300):
        baseline = canary = 0
        for _ in range(40):
            more = served(chance, 50, 0.1)
            baseline, canary = baseline + more[0], canary + more[1]
            assert share.evidence(baseline, canary, 0.1) < limit


# contamination


@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_the_label_evidence_has_expectation_one_under_the_null(weight: float) -> None:
    """All ways in which the router may send nine requests that carry three labels."""
    wanted = "aababccba"
    total = 0.0
    for arms in product((0, 1), repeat=len(wanted)):
        counts: dict[str, list[int]] = {}
        for label, arm in zip(wanted, arms, strict=True):
            counts.setdefault(label, [0, 0])[arm] += 1
        chance = math.prod(weight if arm else 1 - weight for arm in arms)
        total += chance * math.exp(contamination.evidence(counts, weight))
    assert total == pytest.approx(1, abs=1e-9)


def test_the_label_evidence_keeps_its_rate_under_continuous_looking_and_a_drifting_mix() -> None:
    """At the level of 5 %, where there is something to count."""
    chance = random.Random(8)
    runs, reached = 400, 0
    for _ in range(runs):
        counts: contamination.Labels = {}
        highest = 0.0
        for minute in range(30):
            mix = {"a": 1.0 + minute, "b": 5.0, "c": 30.0 - minute, "d": 0.5}
            new = tuple(drawn(chance, n, mix) for n in served(chance, 40, 0.1))
            counts = contamination.after(counts, new)
            highest = max(highest, contamination.evidence(counts, 0.1))
        reached += highest >= math.log(20)
    assert reached <= 0.05 * runs


@pytest.mark.parametrize("kind", ["feature", "fingerprint", "cache"])
def test_like_traffic_is_hardly_ever_accused(kind: str) -> None:
    mix = {"one": 0.5, "two": 0.3, "three": 0.2}
    judge = Judge(Policy(), 0.1)
    for seed in range(12):
        minutes = contaminated(kind, mix, mix, seed=seed)
        assert first(fired(judge, minutes, 30), "contamination") == (0, "")


CAUSES = {
    "a feature at 10 and 30 %": ("feature", {"faq": 0.1, "chat": 0.9}, {"faq": 0.3, "chat": 0.7}),
    "a model only in the canary": ("fingerprint", {"fp_1": 1.0}, {"fp_2": 1.0}),
    "half of the canary on another model": (
        "fingerprint",
        {"fp_1": 1.0},
        {"fp_1": 0.5, "fp_2": 0.5},
    ),
    "cache hits at 60 and 20 %": ("cache", {"hit": 0.6, "miss": 0.4}, {"hit": 0.2, "miss": 0.8}),
}
WITHIN = {
    "a feature at 10 and 30 %": 20,
    "a model only in the canary": 4,
    "half of the canary on another model": 6,
    "cache hits at 60 and 20 %": 10,
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_unlike_traffic_is_found_soon(cause: str, seed: int) -> None:
    """Minutes of 100 requests, a tenth of them the canary's."""
    kind, baseline, canary = CAUSES[cause]
    judge = Judge(Policy(), 0.1)
    minutes = contaminated(kind, baseline, canary, seed=seed)
    minute, text = first(fired(judge, minutes, 60), "contamination")
    assert 0 < minute <= WITHIN[cause]
    assert "the arms' traffic is not alike" in text.lower()


def test_contamination_is_inconclusive_and_names_the_label_with_both_shares() -> None:
    judge = Judge(Policy(), 0.1)
    labels = {"feature": {"faq": 90, "chat": 810}}, {"feature": {"faq": 40, "chat": 60}}
    minute = Minute(sample(900, labels=labels[0]), sample(100, labels=labels[1]))
    verdict = judge.verdict(judge.minute(judge.start(), minute))
    assert verdict.decision == "inconclusive"
    assert "the feature 'faq' has 40.0 %" in verdict.reason
    assert "10.0 % of the baseline's" in verdict.reason


def test_a_kind_that_the_policy_leaves_out_is_not_looked_at() -> None:
    judge = Judge(Policy(contamination=("feature",)), 0.1)
    minutes = contaminated("fingerprint", {"fp_1": 1.0}, {"fp_2": 1.0})
    assert first(fired(judge, minutes, 10), "contamination") == (0, "")


def test_a_small_difference_is_left_alone_however_sure_it_is() -> None:
    counts = {"hit": [500_000, 51_500], "miss": [500_000, 48_500]}
    assert contamination.evidence(counts, 0.1) > -math.log(contamination.LIMIT_P)
    assert contamination.difference(counts) is None


def test_a_canary_that_answers_less_often_is_not_accused_of_other_traffic() -> None:
    """Only answers are labelled; the label's mix is the same in both arms."""
    chance = random.Random(4)
    mix = {"fp_1": 0.7, "fp_2": 0.3}
    state: Any = guards.start(Policy())
    judge = Judge(Policy(), 0.1)
    whole = judge.start()
    for _ in range(40):
        labels = drawn(chance, 90, mix), drawn(chance, 5, mix)
        minute = Minute(
            *(Sample(n, {}, {"fingerprint": got}) for n, got in zip((90, 10), labels, strict=True))
        )
        state = guards.after(judge.policy, 0.1, state, minute)
    assert contamination.evidence(state["labels"]["fingerprint"], 0.1) > math.log(10)
    found = guards.fired(judge.policy, 0.1, {**whole, "guards": state})
    assert named(found, "contamination") is None


def test_labels_beyond_twelve_are_counted_together() -> None:
    many = {f"feature {number}": 5 + number for number in range(40)}
    counts = contamination.after({}, (many, many))
    assert len(counts) == contamination.SLOTS + 1
    assert sum(seen[0] for seen in counts.values()) == sum(many.values())
    assert contamination.after(counts, (many, many)).keys() == counts.keys()


def test_the_slots_do_not_depend_on_the_arm() -> None:
    one = {f"l{number}": number for number in range(1, 31)}
    other = {f"l{number}": 31 - number for number in range(1, 31)}
    assert (
        contamination.after({}, (one, other)).keys() == contamination.after({}, (other, one)).keys()
    )


# shared outage


def weather(
    *arms: tuple[float, float], latency: tuple[int, int] = (39, 39), seed: int = 2
) -> Callable[[int], Iterator[Minute]]:
    """Minutes of 200 requests with the arms' error rates, `arms`, in their order."""
    chance = random.Random(seed)

    def minutes(phase: int) -> Iterator[Minute]:
        while True:
            sizes = served(chance, 200, 0.1)
            yield Minute(
                *(
                    sample(n, sum(chance.random() < rate for _ in range(n)), latency=slow)
                    for n, rate, slow in zip(sizes, arms[phase], latency, strict=True)
                )
            )

    return minutes


def test_an_outage_of_both_arms_is_seen_at_once_and_clears_afterwards() -> None:
    judge = Judge(Policy(), 0.1)
    minutes = weather((0.2, 0.2), (0.005, 0.005))
    state = judge.start(HISTORY)
    for _, minute in zip(range(3), minutes(0), strict=False):
        state = judge.minute(state, minute)
    found = named(guards.fired(judge.policy, 0.1, state), "shared_outage")
    assert found is not None
    assert found.metric == "errors"
    assert "0.5 % before the rollout" in found.text
    assert judge.verdict(state, elapsed_minutes=3).decision == "wait"
    assert judge.verdict(state, elapsed_minutes=3).reason == found.text
    for _, minute in zip(range(20), minutes(1), strict=False):
        state = judge.minute(state, minute)
    assert named(guards.fired(judge.policy, 0.1, state), "shared_outage") is None


def test_a_rise_of_the_canary_alone_is_no_outage() -> None:
    judge = Judge(Policy(alpha=1e-300), 0.1)
    found = fired(judge, weather((0.005, 0.2))(0), 30)
    assert first(found, "shared_outage") == (0, "")


def test_usual_errors_are_no_outage() -> None:
    judge = Judge(Policy(), 0.1)
    assert first(fired(judge, weather((0.005, 0.005))(0), 40), "shared_outage") == (0, "")


def test_slowness_of_both_arms_is_an_outage_and_that_of_one_is_not() -> None:
    judge = Judge(Policy(alpha=1e-300), 0.1)
    slow = 39 + 8
    both = fired(judge, weather((0.0, 0.0), latency=(slow, slow))(0), 5)
    minute, text = first(both, "shared_outage")
    assert 0 < minute <= 3
    assert "ms" in text
    one = fired(judge, weather((0.0, 0.0), latency=(39, slow))(0), 20)
    assert first(one, "shared_outage") == (0, "")


def test_without_a_history_there_is_no_outage_guard() -> None:
    metric = Metric("errors")
    recent = [[500.0, 200.0, 200.0], [60.0, 30.0, 30.0]]
    assert outage.found(metric, recent, {}, 3.0) is None
    assert outage.found(metric, recent, {0: 990, 1: 10}, 3.0) is not None


def test_a_rollback_is_not_withheld_by_an_outage() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start(HISTORY)
    for _, minute in zip(range(15), weather((0.2, 0.7))(0), strict=False):
        state = judge.minute(state, minute)
    assert named(guards.fired(judge.policy, 0.1, state), "shared_outage") is not None
    assert judge.decided(state) == "rollback"


# missing data and minima


def without(metric: str, of: Sample) -> Sample:
    rest = {name: counts for name, counts in of.counts.items() if name != metric}
    return Sample(of.requests, rest, of.labels)


def test_a_gating_metric_never_reported_withholds_the_promotion() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start(HISTORY)
    for _ in range(120):
        state = judge.minute(
            state, Minute(without("quality", sample(180)), without("quality", sample(20)))
        )
    verdict = judge.verdict(state, elapsed_minutes=30)
    assert verdict.decision == "wait"
    assert "not reported in any of 120 minutes" in verdict.reason
    assert judge.verdict(state, elapsed_minutes=61).decision == "inconclusive"


def test_a_metric_missing_in_one_arm_is_missing() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start(HISTORY)
    for minute in range(8):
        canary = sample(20) if minute < 5 else without("latency", sample(20))
        state = judge.minute(state, Minute(sample(180), canary))
    found = named(guards.fired(judge.policy, 0.1, state), "missing_data")
    assert found is not None
    assert found.metric == "latency"
    assert "since minute 6, and in 3 of 8 minutes" in found.text


def test_a_metric_that_comes_back_is_no_longer_missing() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.start(HISTORY)
    for minute in range(9):
        canary = without("latency", sample(20)) if 4 <= minute < 8 else sample(20)
        state = judge.minute(state, Minute(sample(180), canary))
    assert named(guards.fired(judge.policy, 0.1, state), "missing_data") is None


def test_nothing_happened_is_not_missing() -> None:
    """Minutes in which no answer was scored, but scores came before."""
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(HISTORY), Minute(sample(180), sample(20)))
    for _ in range(10):
        arms = (sample(n) for n in (180, 20))
        silent = (Sample(arm.requests, {**arm.counts, "quality": {}}) for arm in arms)
        state = judge.minute(state, Minute(*silent))
    assert named(guards.fired(judge.policy, 0.1, state), "missing_data") is None


def test_minutes_without_requests_miss_nothing() -> None:
    judge = Judge(Policy(), 0.1)
    state = judge.minute(judge.start(HISTORY), Minute(sample(900), sample(100)))
    for _ in range(10):
        state = judge.minute(state, Minute())
    assert guards.fired(judge.policy, 0.1, state) == ()


def test_a_metric_that_may_be_without_data_is_not_waited_for() -> None:
    metrics = (Metric("errors"), Metric("timeouts", no_data="ignore"))
    judge = Judge(Policy(metrics=metrics), 0.1)
    state = judge.start()
    for _ in range(30):
        both = (Sample(n, {"errors": {0: n}}) for n in (180, 20))
        state = judge.minute(state, Minute(*both))
    verdict = judge.verdict(state, elapsed_minutes=30)
    assert verdict.guards == ()
    assert verdict.decision == "promote"
    assert "timeouts" not in verdict.reason


@pytest.mark.parametrize(("canary", "fires"), [(49, True), (50, False)])
def test_the_minimum_of_requests_is_for_each_arm(canary: int, fires: bool) -> None:
    judge = Judge(Policy(minimum_requests=50), 0.1)
    state = judge.minute(judge.start(), Minute(sample(450), sample(canary)))
    found = named(guards.fired(judge.policy, 0.1, state), "minimum")
    assert (found is not None) == fires
    if found is not None:
        assert found.text == "The canary has 49 requests, but 50 are the minimum in each arm."


def test_a_gating_metric_below_its_own_minimum_is_said() -> None:
    metrics = (Metric("errors"), Metric("quality", "unit", "higher", 0.05, statistic="mean"))
    judge = Judge(Policy(metrics=metrics), 0.1)
    scored = (
        Sample(n, {"errors": {0: n}, "quality": {17: few}}) for n, few in ((900, 27), (100, 3))
    )
    state = judge.minute(judge.start(), Minute(*scored))
    found = named(guards.fired(judge.policy, 0.1, state), "minimum")
    assert found is not None
    assert found.metric == "quality"
    assert "The canary has 3 outcomes of quality, but 5 are the minimum" in found.text


# hard limit


def test_a_hard_limit_is_said_with_its_number() -> None:
    metrics = (Metric("latency", "ratio", margin=1.25, statistic="p95", unit="ms", limit=2000),)
    judge = Judge(Policy(metrics=metrics), 0.5)
    both = (Sample(100, {"latency": {48: 100}}) for _ in range(2))
    verdict = judge.verdict(judge.minute(judge.start(), Minute(*both)))
    assert verdict.decision == "rollback"
    assert "latency p95 went past the hard limit of 2,000 ms" in verdict.reason
    assert verdict.metrics[0].decision == "rollback"


# the state


def test_the_guards_state_is_small_and_survives_json() -> None:
    judge = Judge(Policy(), 0.1)
    mix = {f"feature {number}": 1.0 for number in range(9)}
    state: Any = guards.start(judge.policy)
    for minute, _ in zip(contaminated("feature", mix, mix), range(60), strict=False):
        state = guards.after(judge.policy, 0.1, json.loads(json.dumps(state)), minute)
    assert state == json.loads(json.dumps(state))
    assert len(json.dumps(state)) < 1200
