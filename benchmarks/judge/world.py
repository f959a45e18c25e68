"""The benchmark's own services: what one request of each arm looks like, seeded and drifting."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from llmops_judge import CATALOGUE, History, Metric, Minute, Sample
from llmops_judge.scales import cell

RATE = 200
"""Requests per minute of both arms."""
HORIZON = 20_000
"""Requests of both arms after which a run is given up."""


@dataclass(frozen=True)
class Service:
    """How one arm does at one moment.

    errors: share of failed requests. latency, cost: factors. slow: share of requests in a mode that
    is eight times slower. misses: share of requests that miss a cache and take nine times as long.
    poor: share of useless answers. dull: how much worse all other answers are, 0 to 1.
    thumbs: share of the one in twenty rated answers that is rated down.
    """

    errors: float = 0.01
    latency: float = 1.0
    slow: float = 0.0
    misses: float = 0.0
    cost: float = 1.0
    poor: float = 0.1
    dull: float = 0.0
    thumbs: float = 0.1

    def request(self, draw: random.Random, names: frozenset[str]) -> dict[str, float]:
        """One request's outcome; one that failed has no answer."""
        outcome = {"errors": float(draw.random() < self.errors)}
        if "latency" in names:
            outcome["latency"] = self._latency(draw)
        if outcome["errors"] and len(names) > 1:
            return outcome
        if "cost" in names:
            outcome["cost"] = self.cost * draw.lognormvariate(math.log(4000), 1.0)
        if "quality" in names:
            poor = draw.random() < self.poor
            best = draw.betavariate(1.5, 6) if poor else draw.betavariate(18, 2)
            outcome["quality"] = best * (1 - self.dull)
        if "feedback" in names and draw.random() < 0.05:
            outcome["feedback"] = float(draw.random() >= self.thumbs)
        return outcome

    def _latency(self, draw: random.Random) -> float:
        slow = 8.0 if draw.random() < self.slow else 1.0
        missed = 9.0 if draw.random() < self.misses else 1.0
        return self.latency * slow * missed * draw.lognormvariate(math.log(1200), 0.6)


Course = Callable[[int], Service]
"""Minute -> how an arm does then."""


def steady(**values: float) -> Course:
    """The same all the time."""
    service = Service(**values)
    return lambda _: service


def diurnal(minute: int) -> Service:
    """Everything rises and falls every 100 minutes."""
    wave = 0.5 * (1 - math.cos(2 * math.pi * minute / 100))
    return Service(0.005 + 0.015 * wave, latency=1 + 0.5 * wave, poor=0.08 + 0.08 * wave)


def outage(minute: int) -> Service:
    """A quarter of an hour in which a fifth of all requests fail and the rest are slow."""
    down = 30 <= minute < 45
    return Service(0.20, latency=3.0) if down else Service(0.005)


@dataclass(frozen=True)
class Scenario:
    """Two arms, the metrics that judge them, and when the canary turns bad (requests)."""

    name: str
    baseline: Course
    canary: Course
    metrics: tuple[str, ...]
    weight: float = 0.10
    onset: int = 0

    def chosen(self) -> tuple[Metric, ...]:
        """The metrics, all of them gating."""
        return tuple(replace(CATALOGUE[name], mode="rollback") for name in self.metrics)

    def history(self, draw: random.Random, n: int = 2000) -> History:
        """What the baseline did before, in its first minute's condition."""
        return History(n, self._sample(draw, n, self.baseline(0)).counts)

    def minutes(self, draw: random.Random) -> Iterator[Minute]:
        """The minutes of one run."""
        for minute in range(HORIZON // RATE):
            served = sum(draw.random() < self.weight for _ in range(RATE))
            canary = self.canary if minute * RATE >= self.onset else self.baseline
            yield Minute(
                self._sample(draw, RATE - served, self.baseline(minute)),
                self._sample(draw, served, canary(minute)),
            )

    def _sample(self, draw: random.Random, n: int, service: Service) -> Sample:
        names = frozenset(self.metrics)
        counts: dict[str, dict[int, float]] = {name: {} for name in self.metrics}
        for _ in range(n):
            for name, value in service.request(draw, names).items():
                if name in counts:
                    at = cell(CATALOGUE[name].scale, value)
                    counts[name][at] = counts[name].get(at, 0) + 1
        return Sample(n, counts)
