"""Simulated rollouts; every draw comes from a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from llmops_judge import CATALOGUE, History, Judge, Metric, Minute, Policy, Sample
from llmops_judge.scales import cell

FOUR = tuple(CATALOGUE[name] for name in ("errors", "latency", "cost", "quality"))


@dataclass(frozen=True)
class Rates:
    """How one arm does: shares of errors and of poor answers, factors of latency and cost."""

    errors: float = 0.005
    poor: float = 0.1
    latency: float = 1.0
    cost: float = 1.0


class Rollouts:
    """Makes minutes of a rollout and judges them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def minutes(
        self,
        baseline: Rates,
        canary: Rates,
        *,
        weight: float = 0.1,
        requests: int = 100,
        metrics: tuple[Metric, ...] = FOUR,
    ) -> Iterator[Minute]:
        """Minutes without end."""
        while True:
            labels = [self.random.random() < weight for _ in range(requests)]
            served = sum(labels)
            yield Minute(
                self.sample(requests - served, baseline, metrics),
                self.sample(served, canary, metrics),
            )

    def sample(self, n: int, rates: Rates, metrics: tuple[Metric, ...] = FOUR) -> Sample:
        """One arm's minute."""
        counts: dict[str, dict[int, float]] = {metric.name: {} for metric in metrics}
        for _ in range(n):
            outcome = self.outcome(rates)
            for metric in metrics:
                if metric.name in outcome:
                    at = cell(metric.scale, outcome[metric.name])
                    counts[metric.name][at] = counts[metric.name].get(at, 0) + 1
        return Sample(n, counts)

    def outcome(self, rates: Rates) -> dict[str, float]:
        """One request; one that failed has no cost and no quality."""
        draw = self.random
        outcome: dict[str, float] = {"errors": float(draw.random() < rates.errors)}
        outcome["latency"] = rates.latency * draw.lognormvariate(7.0, 0.6)
        if not outcome["errors"]:
            outcome["cost"] = rates.cost * draw.lognormvariate(8.0, 0.7)
            poor = draw.random() < rates.poor
            outcome["quality"] = draw.betavariate(2, 6) if poor else draw.betavariate(18, 2)
        return outcome

    def history(self, rates: Rates, n: int = 1000, metrics: tuple[Metric, ...] = FOUR) -> History:
        """What the baseline did before."""
        return History(n, self.sample(n, rates, metrics).counts)

    def run(
        self,
        baseline: Rates,
        canary: Rates,
        *,
        policy: Policy | None = None,
        history: History | None = None,
        weight: float = 0.1,
        requests: int = 100,
        limit: int = 10_000,
    ) -> tuple[str, int]:
        """The decision and the requests of both arms it took; `wait` after `limit` requests."""
        policy = policy or Policy(metrics=FOUR)
        judge = Judge(policy, weight)
        running = judge.resume(judge.start(history))
        seen = 0
        minutes = self.minutes(
            baseline, canary, weight=weight, requests=requests, metrics=policy.metrics
        )
        for minute in minutes:
            running.minute(minute)
            seen += requests
            decision = running.decided()
            if decision != "wait" or seen >= limit:
                return decision, seen
        raise AssertionError("minutes never end")


@pytest.fixture
def rollouts() -> Rollouts:
    return Rollouts(seed=20261120)


@pytest.fixture
def rates() -> type[Rates]:
    return Rates


@pytest.fixture
def four() -> tuple[Metric, ...]:
    """Errors, latency, cost and quality, as the catalogue has them."""
    return FOUR
