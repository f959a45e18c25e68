"""The state is all there is: store it anywhere, group it any way, get the same verdict."""

from __future__ import annotations

import json
import random
from itertools import islice
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_judge import CATALOGUE, History, Judge, Minute, Policy, Running, Sample, against
from llmops_judge.observations import to_cells, to_runs

TWO = Policy(metrics=(CATALOGUE["errors"], CATALOGUE["quality"]), minimum_requests=5)


def again(value: Any) -> Any:
    """The value after a round trip through JSON."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_a_state_read_back_from_json_goes_on_as_if_never_stored(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    straight = stored = judge.start(rollouts.history(rates()))
    for minute in islice(rollouts.minutes(rates(0.01), rates(0.02)), 25):
        straight = judge.minute(straight, minute)
        stored = Judge(Policy(), 0.1).minute(again(stored), minute)
        assert again(stored) == stored == straight
        assert judge.verdict(stored) == judge.verdict(straight)


def test_an_observation_leaves_the_state_it_started_from_alone(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    before = judge.minute(judge.start(), next(rollouts.minutes(rates(), rates())))
    kept = json.dumps(before)
    judge.observe(before, "canary", rollouts.outcome(rates()))
    judge.minute(before, next(rollouts.minutes(rates(), rates())))
    running = judge.resume(before)
    for _ in range(40):
        running.observe("baseline", rollouts.outcome(rates()))
    assert json.dumps(before) == kept


outcomes = st.tuples(
    st.sampled_from(["baseline", "baseline", "canary"]),
    st.fixed_dictionaries({"errors": st.integers(0, 1)}, optional={"quality": st.floats(0, 1)}),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(outcomes | st.integers(0, 2**32), max_size=60), st.sets(st.integers(0, 60)))
def test_requests_and_minutes_give_the_same_state_wherever_it_was_stored(
    events: list[Any], stores: set[int]
) -> None:
    judge = Judge(TWO, 0.3)
    state = judge.start(History(200, {"errors": {0: 190, 1: 10}, "quality": {18: 150, 3: 40}}))
    running = judge.resume(state)
    for number, event in enumerate(events):
        if isinstance(event, int):
            minute = random_minute(event)
            running.minute(minute)
            state = judge.minute(state, minute)
        else:
            running.observe(*event)
            state = judge.observe(again(state), *event)
        if number in stores:
            running = judge.resume(again(running.state()))
        assert running.state() == state
        assert running.decided() == judge.decided(state)
    assert judge.verdict(running.state()) == judge.verdict(state)


def random_minute(seed: int) -> Minute:
    """A minute of both metrics."""
    draw = random.Random(seed)
    samples = []
    for most in (30, 12):
        n = draw.randrange(most)
        bad = draw.randint(0, n)
        samples.append(Sample(n, {"errors": {0: n - bad, 1: bad}, "quality": {18: n - bad}}))
    return Minute(*samples)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(30, 50)), min_size=1, max_size=40))
def test_between_settlements_the_order_of_requests_does_not_matter(
    seen: list[tuple[int, int]],
) -> None:
    bets = against.Bets(CATALOGUE["latency"], 0.1, {38: 40, 40: 60, 42: 30}, {})
    singles = [0.0] * 6
    for arm, cell in seen:
        one: tuple[dict[int, float], ...] = ({}, {})
        one[arm][cell] = 1
        singles = bets.after(singles, (one[0], one[1]))
    both: tuple[dict[int, float], ...] = ({}, {})
    for arm, cell in seen:
        both[arm][cell] = both[arm].get(cell, 0) + 1
    together = bets.after([0.0] * 6, (both[0], both[1]))
    assert all(abs(a - b) < 1e-9 for a, b in zip(singles, together, strict=True))


@given(st.dictionaries(st.integers(-40, 120), st.integers(1, 10**6)))
def test_counts_survive_being_kept_as_runs(counts: dict[int, int]) -> None:
    assert to_cells(again(to_runs(counts))) == counts


def test_requests_and_minutes_of_the_same_rollout_agree_on_the_decision(
    rollouts: Any, rates: Any, four: Any
) -> None:
    judge = Judge(Policy(metrics=four), 0.1)
    by_request: Running = judge.resume(judge.start())
    by_minute = judge.start()
    for _ in range(12):
        counts: dict[str, list[dict[str, float]]] = {"baseline": [], "canary": []}
        for _ in range(100):
            canary = rollouts.random.random() < 0.1
            one = rollouts.outcome(rates(errors=0.2 if canary else 0.01))
            by_request.observe("canary" if canary else "baseline", one)
            counts["canary" if canary else "baseline"].append(one)
        by_minute = judge.minute(by_minute, Minute(*(tally(arm) for arm in counts.values())))
    assert by_request.decided() == judge.decided(by_minute) == "rollback"
    for metric in four:
        own = by_request.state()["metrics"][metric.name]
        assert own["seen"] == by_minute["metrics"][metric.name]["seen"]


def tally(requests: list[dict[str, float]]) -> Sample:
    """The minute of these requests."""
    from llmops_judge.scales import cell

    counts: dict[str, dict[int, float]] = {}
    for request in requests:
        for name, value in request.items():
            at = cell(CATALOGUE[name].scale, value)
            of = counts.setdefault(name, {})
            of[at] = of.get(at, 0) + 1
    return Sample(len(requests), counts)


def test_the_state_of_the_default_policy_stays_small(rollouts: Any, rates: Any) -> None:
    judge = Judge(Policy(), 0.1)
    running = judge.resume(judge.start(rollouts.history(rates())))
    for minute in islice(rollouts.minutes(rates(), rates(), requests=300), 60):
        running.minute(minute)
    assert len(json.dumps(running.state(), separators=(",", ":"))) < 6000
