"""Adaptor for canary benchmarks that feed one request at a time.

    python bench.py --plugin llmops_judge.bench:make

The benchmark's context says metric, weight and alpha; outcomes are named tuples with one field per
metric, nan where it was not measured. Binary metrics (`error`, `thumb_down`) are judged as they
are. The judge has no numeric metrics yet: those are made binary at the worst fifth of the
benchmark's past data, which sees a shift but wastes much of it. `make_minutes` sees whole minutes.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from llmops_judge import Judge, Metric, Minute, Policy, Sample, Tally

WORST_SHARE = 0.2
UNREACHABLE = 1e-300


class Context(Protocol):
    """What the adaptor reads of the benchmark's context."""

    metric: str
    w: float
    alpha: float
    hist: Any


def make(context: Context) -> Requests:
    """A decider that judges every request."""
    return Requests(context)


def make_minutes(context: Context) -> Minutes:
    """A decider that judges closed minutes."""
    return Minutes(context)


class Requests:
    """Judges every request; never promotes, because the benchmark counts rollbacks."""

    def __init__(self, context: Context) -> None:
        self.name = context.metric
        self.limit = _limit(context)
        self.lower_is_bad = context.metric == "quality"
        policy = Policy(
            alpha=context.alpha,
            beta=UNREACHABLE,
            minimum_requests=1,
            metrics=(Metric(context.metric, margin=0.03),),
        )
        self.judge = Judge(policy, context.w)
        self.state = self.judge.start()

    def observe(self, arm: int, outcome: Any) -> str:
        """`continue`, `rollback` or `hold`; arm 1 is the canary."""
        value = getattr(outcome, self.name)
        known = {} if math.isnan(value) else {self.name: float(self.is_bad(value))}
        self.state = self.judge.observe(self.state, "canary" if arm else "baseline", known)
        return _word(self.judge, self.state)

    def is_bad(self, value: float) -> bool:
        """Whether an outcome counts as bad."""
        return value <= self.limit if self.lower_is_bad else value > self.limit


class Minutes(Requests):
    """Judges the counts of closed minutes."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.current = 0
        self._empty()

    def observe(self, arm: int, outcome: Any) -> str:
        """As `Requests.observe`; decides when the first request of the next minute arrives."""
        word = "continue"
        if int(outcome.t // 60) > self.current:
            self.current = int(outcome.t // 60)
            word = self._close()
        value = getattr(outcome, self.name)
        self.requests[arm] += 1
        if not math.isnan(value):
            self.tallies[arm] = self.tallies[arm].plus(Tally(1, int(self.is_bad(value))))
        return word

    def _close(self) -> str:
        baseline, canary = (
            Sample(requests, {self.name: tally})
            for requests, tally in zip(self.requests, self.tallies, strict=True)
        )
        self.state = self.judge.minute(self.state, Minute(baseline, canary))
        self._empty()
        return _word(self.judge, self.state)

    def _empty(self) -> None:
        self.requests = [0, 0]
        self.tallies = [Tally(), Tally()]


def _word(judge: Judge, state: dict[str, Any]) -> str:
    words = {"rollback": "rollback", "inconclusive": "hold"}
    return words.get(judge.decided(state), "continue")


def _limit(context: Context) -> float:
    if context.metric in ("error", "thumb_down"):
        return 0.5
    past = sorted(float(value) for value in context.hist)
    share = WORST_SHARE if context.metric == "quality" else 1 - WORST_SHARE
    return past[int(share * (len(past) - 1))]
