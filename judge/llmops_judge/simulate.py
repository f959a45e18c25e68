"""What a policy will do on a service's own traffic: rollouts drawn from its history and judged.

Each simulated rollout is judged minute by minute by the judge itself, until it decides or the
policy's time is over. Outcomes are drawn independently of each other from the history's histograms,
as the change says for the canary; what moves both arms together (a shared outage, the time of day)
is left out, since the judge's guarantee does not depend on it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from llmops_judge.judge import Judge
from llmops_judge.observations import Counts, History, Minute, Sample, size
from llmops_judge.policy import Policy
from llmops_judge.regressions import Change
from llmops_judge.verdict import Decision

End = Literal["rollback", "promote", "inconclusive"]
SPLIT_ABOVE = 400
"""Draws above which a binomial number is found by halving, not by drawing each."""


@dataclass(frozen=True)
class Traffic:
    """A service: how many requests a minute, and what becomes of them."""

    per_minute: float
    history: History


@dataclass(frozen=True)
class Run:
    """How one simulated rollout ended, after how many minutes and requests of both arms; `canary`:
    how many of these the canary served."""

    end: End
    minutes: int
    requests: int
    canary: int


@dataclass(frozen=True)
class Job:
    """Some simulated rollouts that belong together; picklable, so that any process can do them.

    weight: the canary's share, 0 to 1. seed: the same seed draws the same rollouts.
    """

    policy: Policy
    traffic: Traffic
    weight: float
    change: Change
    runs: int
    seed: str


@dataclass(frozen=True)
class Share:
    """A share of simulated rollouts with its 95 % Monte-Carlo interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, runs: int, z: float = 1.959964) -> Share:
        """So many of so many."""
        rate, square = count / runs, z * z
        centre = (rate + square / (2 * runs)) / (1 + square / runs)
        half = (
            z / (1 + square / runs) * math.sqrt(rate * (1 - rate) / runs + square / (4 * runs**2))
        )
        return cls(rate, max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True)
class Summary:
    """Simulated rollouts of one change at one canary share.

    requests, minutes, canary: the median over those that ended as most did, rolled back or
    promoted; `slow_requests`: what nine in ten needed at most. None: none ended so.
    """

    change: Change
    weight: float
    runs: int
    rolled_back: Share
    promoted: Share
    inconclusive: Share
    requests: int | None
    slow_requests: int | None
    minutes: int | None
    canary: int | None


def simulated(job: Job) -> list[Run]:
    """The rollouts of a job."""
    chance = random.Random(job.seed)  # noqa: S311
    judge = Judge(job.policy, job.weight)
    source = Source(job, chance)
    return [_run(judge, source, job) for _ in range(job.runs)]


def summary(change: Change, weight: float, runs: Sequence[Run], want: End) -> Summary:
    """The rollouts together; `want`: the end whose requests and minutes are told."""
    ends = [run.end for run in runs]
    wanted = sorted((run for run in runs if run.end == want), key=lambda run: run.requests)
    middle = wanted[(len(wanted) - 1) // 2] if wanted else None
    return Summary(
        change=change,
        weight=weight,
        runs=len(runs),
        rolled_back=Share.of(ends.count("rollback"), len(runs)),
        promoted=Share.of(ends.count("promote"), len(runs)),
        inconclusive=Share.of(ends.count("inconclusive"), len(runs)),
        requests=middle.requests if middle else None,
        slow_requests=wanted[math.ceil(0.9 * len(wanted)) - 1].requests if wanted else None,
        minutes=middle.minutes if middle else None,
        canary=middle.canary if middle else None,
    )


def with_history(policy: Policy, history: History) -> Policy:
    """The policy's metrics of which something is known; a simulation can say nothing of others.

    Raises PolicyError if none of them can decide.
    """
    known = tuple(metric for metric in policy.metrics if size(history.counts.get(metric.name, {})))
    return replace(policy, metrics=known)


class Source:
    """Draws minutes of a rollout."""

    def __init__(self, job: Job, chance: random.Random) -> None:
        self._chance = chance
        self._weight = job.weight
        self._rate = job.traffic.per_minute
        history = job.traffic.history
        names = [metric.name for metric in job.policy.metrics]
        canary = job.change.canary(job.policy, history)
        self._baseline = [_Law.of(name, history.counts[name], history) for name in names]
        self._canary = [_Law.of(name, canary[name], history) for name in names]

    def minute(self) -> Minute:
        """One more minute."""
        requests = int(self._rate + self._chance.random())
        served = binomial(self._chance, requests, self._weight)
        return Minute(
            self._sample(requests - served, self._baseline), self._sample(served, self._canary)
        )

    def _sample(self, requests: int, laws: Sequence[_Law]) -> Sample:
        return Sample(requests, {law.name: law.draw(self._chance, requests) for law in laws})


@dataclass(frozen=True)
class _Law:
    """How often a request has the metric, and the cells it then falls into."""

    name: str
    coverage: float
    cells: tuple[int, ...]
    cumulative: tuple[float, ...]

    @classmethod
    def of(cls, name: str, counts: Counts, history: History) -> _Law:
        cells = tuple(sorted(counts))
        return cls(
            name=name,
            coverage=min(1.0, size(counts) / history.requests),
            cells=cells,
            cumulative=tuple(accumulate(counts[cell] for cell in cells)),
        )

    def draw(self, chance: random.Random, requests: int) -> Mapping[int, int]:
        n = binomial(chance, requests, self.coverage)
        found: dict[int, int] = {}
        if n > SPLIT_ABOVE:
            return dict(self._split(chance, n))
        for cell in chance.choices(self.cells, cum_weights=self.cumulative, k=n):
            found[cell] = found.get(cell, 0) + 1
        return found

    def _split(self, chance: random.Random, n: int) -> Iterator[tuple[int, int]]:
        """A multinomial draw, cell by cell."""
        below = 0.0
        for cell, upto in zip(self.cells, self.cumulative, strict=True):
            left = self.cumulative[-1] - below
            k = binomial(chance, n, min(1.0, (upto - below) / left)) if left > 0 else 0
            if k:
                yield cell, k
            n, below = n - k, upto


def binomial(chance: random.Random, n: int, p: float) -> int:
    """How many of `n` happen, each with probability `p`; exact.

    Large numbers are halved by the median of that many uniform numbers, which follows a beta law
    (Devroye, "Non-Uniform Random Variate Generation", chapter X.4).
    """
    if p <= 0 or n <= 0:
        return 0
    if p >= 1:
        return n
    happened = 0
    while n > 30:
        rank = (n + 1) // 2
        middle = chance.betavariate(rank, n + 1 - rank)
        if middle <= p:
            happened, n, p = happened + rank, n - rank, (p - middle) / (1 - middle)
        else:
            n, p = rank - 1, p / middle
    return happened + sum(chance.random() < p for _ in range(n))


def expected_requests(job: Job, want: End, most: int, step: int = 100) -> int | None:
    """About how many requests of both arms until `want`, if every minute is just as expected.

    No drawing: minutes of `step` requests hold the expected counts, fractions and all. None if
    it takes more than `most`.
    """
    judge = Judge(job.policy, job.weight)
    minute = _expected(job, step)
    rollout = judge.resume(judge.start(job.traffic.history))
    for requests in range(step, most + step, step):
        rollout.minute(minute)
        if rollout.decided() == want:
            return requests
    return None


def _expected(job: Job, requests: int) -> Minute:
    history = job.traffic.history
    canary = job.change.canary(job.policy, history)
    served = round(requests * job.weight)
    return Minute(
        _portion(requests - served, history.counts, history.requests),
        _portion(served, canary, history.requests),
    )


def _portion(requests: int, counts: Mapping[str, Counts], of: int) -> Sample:
    part = requests / of
    return Sample(
        requests,
        {name: {at: part * n for at, n in each.items()} for name, each in counts.items()},
    )


def _run(judge: Judge, source: Source, job: Job) -> Run:
    policy = job.policy
    rollout = judge.resume(judge.start(job.traffic.history))
    requests = canary = minutes = 0
    decision: Decision = "wait"
    while decision == "wait" and minutes < policy.maximum_minutes:
        minute = source.minute()
        rollout.minute(minute)
        minutes += 1
        requests += minute.baseline.requests + minute.canary.requests
        canary += minute.canary.requests
        decision = rollout.decided()
        if decision == "promote" and minutes < policy.minimum_minutes:
            # What is proved harmless now is asked again when the policy's minutes are over.
            decision = "wait"
    end: End = "inconclusive" if decision == "wait" else decision
    return Run(end, minutes, requests, canary)
