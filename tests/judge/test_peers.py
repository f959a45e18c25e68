"""The peers' rules on the judge's minutes, each from both sides of its limit, and against the
benchmark's own implementations where those are at hand."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llmops_judge import peers
from llmops_judge.observations import History, Minute, Sample
from llmops_judge.policy import CATALOGUE, Policy
from llmops_judge.scales import cell, middle

BENCH = Path(__file__).parents[3] / "shared" / "bench" / "judge" / "bench.py"
ERRORS, COST, QUALITY = CATALOGUE["errors"], CATALOGUE["cost"], CATALOGUE["quality"]


def errors(bad: int, of: int = 100) -> Sample:
    return Sample(of, {"errors": {0: of - bad, 1: bad}})


def rollout(*canary: int, baseline: int = 1) -> list[Minute]:
    """Minutes with so many errors of the canary in 100 requests."""
    return [Minute(errors(baseline), errors(bad)) for bad in canary]


def decided(minutes: Sequence[Minute], **keys: Any) -> dict[str, peers.PeerVerdict]:
    policy = Policy(maximum_minutes=keys.pop("maximum_minutes", 60))
    return {each.peer: each for each in peers.counterfactual(policy, minutes, **keys)}


def test_an_alarm_needs_three_of_the_last_five_datapoints() -> None:
    assert decided(rollout(5, 5, 0, 0, 0, 5, 5))["CloudWatch alarm"].decision == "no decision"
    found = decided(rollout(5, 0, 5, 0, 5))["CloudWatch alarm"]
    assert (found.decision, found.minute, found.metric) == ("rollback", 5, "errors")


def test_a_minute_without_data_is_no_datapoint() -> None:
    minutes = rollout(5, 5)
    minutes[1:1] = [Minute(errors(0), Sample())] * 9
    assert decided(minutes)["CloudWatch alarm"].decision == "no decision"
    assert decided([*minutes, *rollout(5)])["CloudWatch alarm"].minute == 12


def test_argo_fails_at_the_fourth_failed_measurement_of_five_minutes() -> None:
    assert decided(rollout(*[5] * 19))["Argo Rollouts"].decision == "no decision"
    found = decided(rollout(*[5] * 20))["Argo Rollouts"]
    assert (found.decision, found.minute) == ("rollback", 20)
    assert "failed (4) > failureLimit (3)" in found.reason


def test_kayenta_judges_at_minute_ten_and_then_every_fifth() -> None:
    found = decided(rollout(*[9, 8, 7, 9, 8, 7, 9, 8, 7, 9, 8]))["Kayenta"]
    assert (found.decision, found.minute, found.metric) == ("rollback", 10, "errors")
    assert decided(rollout(*[9] * 9))["Kayenta"].decision == "no decision"


def test_what_never_fires_lets_the_release_through_when_the_time_is_over() -> None:
    quiet = rollout(*[1] * 30)
    assert {each.decision for each in decided(quiet).values()} == {"no decision"}
    over = decided(quiet, maximum_minutes=30).values()
    assert {(each.decision, each.minute) for each in over} == {("promote", 30)}


def test_thresholds_come_from_the_history_and_stand_in_the_rule() -> None:
    past = History(100, {"cost": {cell("ratio", 1000): 100}})
    minutes = [Minute(Sample(1, {"cost": {40: 1}}), Sample(1, {"cost": {46: 1}}))] * 5
    found = decided(minutes, history=past)["CloudWatch alarm"]
    limit = 1.5 * middle("ratio", cell("ratio", 1000))
    assert f"cost at least {limit:,.0f} µ$" in found.rule
    assert (found.decision, found.metric) == ("rollback", "cost")


def test_low_quality_is_what_is_bad_about_quality() -> None:
    good, bad = (Sample(10, {"quality": {at: 10}}) for at in (18, 14))
    assert decided([Minute(good, bad)] * 5)["CloudWatch alarm"].metric == "quality"
    assert decided([Minute(bad, good)] * 5)["CloudWatch alarm"].decision == "no decision"


def test_a_verdict_is_json() -> None:
    for each in decided(rollout(1, 2)).values():
        assert json.loads(json.dumps(each.to_json()))["peer"] == each.peer


@pytest.fixture(scope="module")
def bench() -> Any:
    """The benchmark's module, which implements the peers independently."""
    pytest.importorskip("numpy")
    pytest.importorskip("scipy")
    if not BENCH.is_file():
        pytest.skip("the canary benchmark is not beside this repository")
    spec = importlib.util.spec_from_file_location("canary_bench", BENCH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["canary_bench"] = module
    spec.loader.exec_module(module)
    return module


def test_the_interval_is_that_of_the_benchmark(bench: Any) -> None:
    import numpy

    chance = random.Random(1)
    for _ in range(200):
        one, other = (
            [round(chance.gauss(0, 2), chance.randint(0, 1)) for _ in range(chance.randint(5, 20))]
            for _ in range(2)
        )
        if len({*one, *other}) == 1:
            continue
        theirs = bench.hl_ci(numpy.array(one), numpy.array(other))
        assert peers.hodges_lehmann(one, other) == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(60))
def test_rollbacks_come_in_the_same_minute_as_in_the_benchmark(bench: Any, seed: int) -> None:
    """Values stand in the middle of their cells, so that both read the same means."""
    import numpy

    chance = random.Random(seed)
    metric = (ERRORS, COST, QUALITY)[seed % 3]
    name = {"errors": "error"}.get(metric.name, metric.name)
    drawn = _minutes(chance, metric.name)
    (limit,) = [
        each
        for each in peers.thresholds(Policy(), [pair for pair, _, _ in drawn], None)
        if each.metric is metric
    ]
    sign = bench.METRICS[name][1]
    # The benchmark's alarms fire above the threshold, ours at it.
    just_below = math.nextafter(sign * limit.value, -math.inf)
    ours = {
        "CwAlarm": peers.cloudwatch(limit, [pair for pair, _, _ in drawn]),
        "Argo": peers.argo(limit, [pair for pair, _, _ in drawn]),
        "Kayenta": peers.kayenta(metric, [pair for pair, _, _ in drawn]),
    }
    for rule, fired in ours.items():
        context = bench.Context(name, 0.3, 0.01, 0, 0, None, thr={"cw_slo": just_below})
        theirs = getattr(bench, rule)(context)
        minute = None
        for number, (_, arms, values) in enumerate(drawn):
            if theirs.on_minute(number, numpy.array(arms), numpy.array(values)) == "rollback":
                minute = number + 1
                break
        assert (fired.minute if fired else None) == minute, rule


def _minutes(chance: random.Random, name: str) -> list[tuple[Minute, list[int], list[float]]]:
    """Minutes as counts, and the same as arms and values; some leave an arm without data."""
    metric = CATALOGUE[name]
    made = []
    shift = chance.choice([0, 0.5, 1, 2])
    for _ in range(40):
        n = chance.choice([0, 3, 30, 30])
        arms = [int(chance.random() < 0.3) for _ in range(n)]
        cells = [_cell(chance, name, shift * arm) for arm in arms]
        samples = []
        for arm in (0, 1):
            own = [at for at, whose in zip(cells, arms, strict=True) if whose == arm]
            counts = {at: own.count(at) for at in set(own)}
            samples.append(Sample(len(own), {name: counts}))
        values = [middle(metric.scale, at) for at in cells]
        made.append((Minute(*samples), arms, values))
    return made


def _cell(chance: random.Random, name: str, worse: float) -> int:
    if name == "errors":
        return int(chance.random() < 0.03 * (1 + worse))
    if name == "quality":
        return min(20, max(0, round(chance.gauss(17 - worse, 2))))
    return round(chance.gauss(40 + worse, 3))
