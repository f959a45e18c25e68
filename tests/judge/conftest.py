"""Simulated rollouts; every draw comes from a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from llmops_judge import Judge, Minute, Policy, Sample, Tally


@dataclass(frozen=True)
class Rates:
    """Shares of errors and of poor answers, of one arm."""

    errors: float = 0.0
    poor: float = 0.1


class Rollouts:
    """Makes minutes of a rollout and judges them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def minutes(
        self, baseline: Rates, canary: Rates, *, weight: float = 0.1, requests: int = 100
    ) -> Iterator[Minute]:
        """Minutes without end."""
        while True:
            labels = [self.random.random() < weight for _ in range(requests)]
            served = sum(labels)
            yield Minute(self._sample(requests - served, baseline), self._sample(served, canary))

    def _sample(self, n: int, rates: Rates) -> Sample:
        errors = sum(self.random.random() < rates.errors for _ in range(n))
        poor = sum(self.random.random() < rates.poor for _ in range(n - errors))
        return Sample(n, {"errors": Tally(n, errors), "quality": Tally(n - errors, poor)})

    def run(
        self,
        baseline: Rates,
        canary: Rates,
        *,
        policy: Policy | None = None,
        weight: float = 0.1,
        requests: int = 50,
        limit: int = 20_000,
    ) -> tuple[str, int]:
        """The decision and the requests of both arms it took; `wait` after `limit` requests."""
        judge = Judge(policy or Policy(), weight)
        state = judge.start()
        seen = 0
        for minute in self.minutes(baseline, canary, weight=weight, requests=requests):
            state = judge.minute(state, minute)
            seen += requests
            decision = judge.decided(state)
            if decision != "wait" or seen >= limit:
                return decision, seen
        raise AssertionError("minutes never end")


@pytest.fixture
def rollouts() -> Rollouts:
    return Rollouts(seed=20261120)


@pytest.fixture
def rates() -> type[Rates]:
    return Rates
