"""The breaker against a slow and obvious model of it, for any order of events."""

from __future__ import annotations

import itertools
from typing import get_args

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llm_service.routing import MOVES, Breaker, IllegalMove, Limits
from llm_service.routing.breaker import SLOTS, Happening, State

LIMITS = Limits(window_seconds=10.0, minimum_calls=4, failure_rate=0.5, cool_down=5.0, probes=2)


class Clock:
    """Seconds as told; whole ones, so that the model and the breaker cut time alike."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Obvious:
    """Keeps every outcome with its time and counts them anew each time it is asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.state, self.opened = clock, "closed", 0.0
        self.outcomes: list[tuple[float, bool]] = []
        self.probes: list[str] = []

    def window(self) -> list[bool]:
        return [bad for at, bad in self.outcomes if at > self.clock.now - LIMITS.window_seconds]

    def enter(self, state: str) -> None:
        self.state, self.outcomes, self.probes = state, [], []
        self.opened = self.clock.now

    def admit(self) -> bool:
        if self.state == "open" and self.clock.now >= self.opened + LIMITS.cool_down:
            self.enter("half_open")
        if self.state == "half_open" and len(self.probes) < LIMITS.probes:
            self.probes.append("running")
            return True
        return self.state == "closed"

    def settle(self, word: str) -> None:
        if self.state == "half_open":
            self.probes.remove("running")
            if word == "succeeded":
                self.probes.append("passed")
            if word == "failed":
                self.enter("open")
            elif self.probes.count("passed") == LIMITS.probes:
                self.enter("closed")
        elif word != "dropped":
            self.outcomes.append((self.clock.now, word == "failed"))
            found = self.window()
            bad = word == "failed" and len(found) >= LIMITS.minimum_calls
            if bad and sum(found) / len(found) >= LIMITS.failure_rate:
                self.enter("open")


class Machine(RuleBasedStateMachine):
    """Calls begin and end in any order, time passes, and both say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker, self.model = Breaker(LIMITS, self.clock), Obvious(self.clock)
        self.running: list[tuple[int, object]] = []
        self.era, self.seen = 0, "closed"

    @rule(seconds=st.sampled_from([1, 1, 1, 2, 4, 5, 9, 10, 11]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        permit, expected = self.breaker.admit(), self.model.admit()
        self.note()
        assert (permit is not None) == expected
        if permit is not None:
            self.running.append((self.era, permit))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), word=st.sampled_from(["succeeded", "failed", "failed", "dropped"]))
    def a_call_ends(self, data: st.DataObject, word: str) -> None:
        era, permit = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        getattr(self.breaker, word)(permit)
        if era == self.era:
            self.model.settle(word)
        self.note()

    @rule(words=st.lists(st.sampled_from(["succeeded", "failed"]), min_size=1, max_size=12))
    def many_calls_come_and_go(self, words: list[str]) -> None:
        for word in words:
            permit, expected = self.breaker.admit(), self.model.admit()
            self.note()
            assert (permit is not None) == expected
            if permit is not None:
                getattr(self.breaker, word)(permit)
                self.model.settle(word)
                self.note()

    @invariant()
    def both_stand_alike(self) -> None:
        assert self.breaker.state == self.model.state
        if self.model.state == "closed":
            found = self.model.window()
            assert self.breaker.counts == (len(found), sum(found))
        assert len(self.breaker._slots) <= SLOTS

    def note(self) -> None:
        if self.model.state != self.seen:
            self.seen, self.era = self.model.state, self.era + 1


Machine.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestBreaker = Machine.TestCase


@pytest.mark.parametrize(
    ("state", "happening"), list(itertools.product(get_args(State), get_args(Happening)))
)
def test_a_move_is_in_the_table_or_raises_and_changes_nothing(state, happening) -> None:
    ways: dict[State, list[Happening]] = {
        "closed": [],
        "open": ["tripped"],
        "half_open": ["tripped", "cooled"],
    }
    breaker = Breaker(LIMITS, Clock())
    for step in ways[state]:
        breaker.move(step)
    if (state, happening) in MOVES:
        breaker.move(happening)
        assert breaker.state == MOVES[state, happening]
    else:
        with pytest.raises(IllegalMove, match=state):
            breaker.move(happening)
        assert breaker.state == state


def test_an_open_breaker_tells_how_long_it_will_be() -> None:
    clock = Clock()
    breaker = Breaker(LIMITS, clock)
    breaker.move("tripped")
    clock.now = 2.0
    assert (breaker.wait, breaker.admit()) == (3.0, None)
    clock.now = 5.0
    assert breaker.wait == 0.0 and breaker.admit() is not None


def test_failures_below_the_minimum_or_below_the_rate_open_nothing() -> None:
    for words in (["failed"] * 3, ["succeeded"] * 5 + ["failed"] * 4):
        breaker = Breaker(LIMITS, Clock())
        for word in words:
            permit = breaker.admit()
            assert permit is not None
            getattr(breaker, word)(permit)
        assert breaker.state == "closed"
