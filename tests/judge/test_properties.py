"""What holds for any data: fairness at any stopping time, under any relabelling, and monotony."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_judge import CATALOGUE, History, Judge, Metric, Minute, Policy, Sample

ONE = {
    name: Policy(
        alpha=0.2, beta=1e-300, minimum_requests=1, contamination=(), metrics=(CATALOGUE[name],)
    )
    for name in ("errors", "latency", "quality")
}
CELLS = {"errors": (0, 1), "latency": (30, 50), "quality": (0, 20)}
slow = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@dataclass(frozen=True)
class Rule:
    """A stopping time: after so many minutes, or as soon as the evidence or a count is so high."""

    minutes: int
    evidence: float
    canary: int

    def stops(self, minute: int, evidence: float, canary: float) -> bool:
        return minute >= self.minutes or evidence >= self.evidence or canary >= self.canary


rules = st.builds(Rule, st.integers(1, 25), st.floats(0.05, 3.0), st.integers(1, 80))


def world(name: str, seed: int) -> Callable[[int, random.Random], int]:
    """A law of outcomes that drifts from minute to minute, the same in both arms."""
    low, high = CELLS[name]
    shape = random.Random(seed)
    centres = [shape.uniform(low, high) for _ in range(30)]
    spread = shape.uniform(0.5, (high - low) / 3)

    def draw(minute: int, chance: random.Random) -> int:
        at = chance.gauss(centres[minute], spread)
        return min(high, max(low, round(at)))

    return draw


def counted(outcomes: list[tuple[bool, int]], name: str) -> Minute:
    """The minute of (served by the canary, cell)."""
    arms = []
    for arm in (False, True):
        cells = [cell for label, cell in outcomes if label is arm]
        arms.append(Sample(len(cells), {name: {cell: cells.count(cell) for cell in set(cells)}}))
    return Minute(*arms)


@slow
@given(st.sampled_from(sorted(ONE)), st.integers(0, 10_000), rules, st.sampled_from([0.1, 0.4]))
def test_the_wealth_of_identical_arms_is_at_most_one_on_average_at_any_stopping_time(
    name: str, seed: int, rule: Rule, weight: float
) -> None:
    draw, chance = world(name, seed), random.Random(seed)
    judge, wealths = Judge(ONE[name], weight), []
    for _ in range(150):
        running = judge.resume(judge.start())
        served = 0
        for minute in range(25):
            outcomes = [(chance.random() < weight, draw(minute, chance)) for _ in range(20)]
            running.minute(counted(outcomes, name))
            served += sum(label for label, _ in outcomes)
            if rule.stops(minute + 1, running.family, served):
                break
        wealths.append(math.exp(running.family))
    mean = sum(wealths) / len(wealths)
    spread = math.sqrt(sum((each - mean) ** 2 for each in wealths) / len(wealths))
    assert mean <= 1 + 4.5 * max(spread, 0.05) / math.sqrt(len(wealths))


@slow
@given(
    st.sampled_from(sorted(ONE)),
    st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=40), min_size=1, max_size=12),
    st.integers(0, 10_000),
)
def test_relabelling_the_same_outcomes_by_the_weight_never_rolls_back_more_than_alpha(
    name: str, minutes: list[list[float]], seed: int
) -> None:
    low, high = CELLS[name]
    chance, runs, rolled = random.Random(seed), 60, 0
    judge = Judge(ONE[name], 0.3)
    for _ in range(runs):
        running = judge.resume(judge.start())
        for outcomes in minutes:
            labelled = [(chance.random() < 0.3, round(low + at * (high - low))) for at in outcomes]
            running.minute(counted(labelled, name))
        rolled += running.rolled_back
    assert rolled <= 0.2 * runs + 4 * math.sqrt(runs * 0.2 * 0.8)


def cells(name: str) -> st.SearchStrategy[dict[int, int]]:
    low, high = CELLS[name]
    return st.dictionaries(st.integers(low, high), st.integers(0, 30), max_size=8)


def minute(name: str, baseline: Mapping[int, float], canary: Mapping[int, float]) -> Minute:
    """A minute of one metric."""
    return Minute(
        *(Sample(int(sum(counts.values())), {name: counts}) for counts in (baseline, canary))
    )


def moved(counts: Mapping[int, int], at: int, to: int) -> dict[int, int]:
    """One outcome moved from a cell to another."""
    changed = {**counts, at: counts[at] - 1}
    return {**changed, to: changed.get(to, 0) + 1}


def worse(metric: Metric, one: int, other: int) -> int:
    """The worse of two cells."""
    return max(one, other) if metric.direction == "lower" else min(one, other)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ONE)), st.data())
def test_a_worse_outcome_of_the_canary_in_the_next_minute_never_speaks_for_it(
    name: str, data: st.DataObject
) -> None:
    metric, judge = CATALOGUE[name], Judge(ONE[name], 0.1)
    state = judge.start(data.draw(st.none() | cells(name).map(lambda c: History(0, {name: c}))))
    for _ in range(data.draw(st.integers(0, 4))):
        state = judge.minute(state, minute(name, data.draw(cells(name)), data.draw(cells(name))))
    baseline = data.draw(cells(name))
    canary = data.draw(cells(name).filter(lambda counts: any(counts.values())))
    at = data.draw(st.sampled_from([cell for cell, count in canary.items() if count]))
    to = worse(metric, at, data.draw(st.integers(*CELLS[name])))
    observed = judge.minute(state, minute(name, baseline, canary))
    other = judge.minute(state, minute(name, baseline, moved(canary, at, to)))
    assert other["family"] >= observed["family"] - 1e-9
    assert other["peak"] >= observed["peak"] - 1e-9
    assert other["metrics"][name]["for"]["now"] <= observed["metrics"][name]["for"]["now"] + 1e-9


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ONE)), st.data())
def test_a_worse_outcome_of_the_baseline_in_the_next_minute_never_speaks_against_the_canary(
    name: str, data: st.DataObject
) -> None:
    metric, judge = CATALOGUE[name], Judge(ONE[name], 0.1)
    state = judge.start()
    for _ in range(data.draw(st.integers(0, 4))):
        state = judge.minute(state, minute(name, data.draw(cells(name)), data.draw(cells(name))))
    canary = data.draw(cells(name))
    baseline = data.draw(cells(name).filter(lambda counts: any(counts.values())))
    at = data.draw(st.sampled_from([cell for cell, count in baseline.items() if count]))
    to = worse(metric, at, data.draw(st.integers(*CELLS[name])))
    observed = judge.minute(state, minute(name, baseline, canary))
    other = judge.minute(state, minute(name, moved(baseline, at, to), canary))
    assert other["family"] <= observed["family"] + 1e-9
    assert other["metrics"][name]["for"]["now"] >= observed["metrics"][name]["for"]["now"] - 1e-9


@pytest.mark.parametrize("name", sorted(ONE))
def test_swapped_arms_never_both_roll_back(name: str) -> None:
    judge, chance = Judge(ONE[name], 0.5), random.Random(7)
    low, high = CELLS[name]
    state = swapped = judge.start()
    for _ in range(30):
        outcomes = [(chance.random() < 0.5, chance.random()) for _ in range(40)]
        shifted = [
            (label, round(low + (high - low) * min(1, at * (1.3 if label else 0.7))))
            for label, at in outcomes
        ]
        one = counted(shifted, name)
        state = judge.minute(state, one)
        swapped = judge.minute(swapped, Minute(one.canary, one.baseline))
    decisions = {judge.decided(state), judge.decided(swapped)}
    assert decisions == {"rollback", "wait"}
