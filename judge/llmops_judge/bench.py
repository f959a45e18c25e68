"""Adaptor for canary benchmarks that feed one request at a time.

    python bench.py --plugin llmops_judge.bench:make          every request is judged
    python bench.py --plugin llmops_judge.bench:make_minute   closed minutes' counts are judged

The benchmark's context says metric, weight, alpha and past values of the baseline; outcomes are
named tuples with one field per metric, nan where it was not measured. If an outcome names the
session that the router keyed on (`cluster` >= 0), the session is what is judged, see
`llmops_judge.sessions`. Nothing is ever promoted, because the benchmark counts rollbacks.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from llmops_judge import History, Judge, Metric, Minute, Policy, Sample
from llmops_judge.policy import Direction, Statistic
from llmops_judge.scales import Scale, cell
from llmops_judge.sessions import Sessions

NEVER = 1e-300
MILLIONTH = 1e6
"""A cost in dollars is judged in millionths, as the service publishes it."""
METRICS: dict[str, tuple[Scale, Direction, float]] = {
    "error": ("share", "lower", 1.0),
    "thumb_down": ("share", "lower", 1.0),
    "latency": ("ratio", "lower", 1.0),
    "cost": ("ratio", "lower", MILLIONTH),
    "quality": ("unit", "higher", 1.0),
}


class Context(Protocol):
    """What the adaptor reads of the benchmark's context."""

    metric: str
    w: float
    alpha: float
    hist: Any


def make(context: Context) -> Requests:
    """A decider that judges every request."""
    return Requests(context)


def make_minute(context: Context) -> Minutes:
    """A decider that judges closed minutes."""
    return Minutes(context)


class Requests:
    """Judges every request, or every session once it is known."""

    def __init__(self, context: Context) -> None:
        self.name = context.metric
        scale, direction, self.factor = METRICS[context.metric]
        margin = 1.25 if scale == "ratio" else 0.05
        statistic: Statistic = "share" if scale == "share" else "mean"
        metric = Metric(self.name, scale, direction, margin, minimum=1, statistic=statistic)
        self.scale = scale
        policy = Policy(
            alpha=context.alpha, beta=NEVER, minimum_requests=1, contamination=(), metrics=(metric,)
        )
        self.judge = Judge(policy, context.w)
        self.running = self.judge.resume(self.judge.start(self._history(context)))
        self.sessions = Sessions()

    def observe(self, arm: int, outcome: Any) -> str:
        """`continue`, `rollback` or `hold`; arm 1 is the canary."""
        value = getattr(outcome, self.name) * self.factor
        if outcome.cluster < 0:
            self._one(arm, value)
        else:
            for each, mean in self.sessions.add(outcome.cluster, arm, outcome.t, value):
                self._one(each, mean)
        return self._word()

    def _word(self) -> str:
        """Guards speak at settlements only: `hold` if the router does not keep its word."""
        if self.running.rolled_back:
            return "rollback"
        settled = not any(self.running.pending)
        return "hold" if settled and self.running.decided() == "inconclusive" else "continue"

    def _one(self, arm: int, value: float) -> None:
        known = {} if math.isnan(value) else {self.name: value}
        self.running.observe("canary" if arm else "baseline", known)

    def _history(self, context: Context) -> History:
        counts: dict[int, float] = {}
        for value in context.hist:
            at = cell(self.scale, float(value) * self.factor)
            counts[at] = counts.get(at, 0) + 1
        return History(len(context.hist), {self.name: counts})


class Minutes(Requests):
    """Judges the counts of closed minutes; decides when the next minute's first request arrives."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.current = 0
        self.closed = False
        self._empty()

    def observe(self, arm: int, outcome: Any) -> str:
        """As `Requests.observe`."""
        if int(outcome.t // 60) > self.current:
            self.current = int(outcome.t // 60)
            self._close()
            self.closed = True
        word = super().observe(arm, outcome)
        self.closed = False
        return word

    def _word(self) -> str:
        return super()._word() if self.closed else "continue"

    def _one(self, arm: int, value: float) -> None:
        self.requests[arm] += 1
        if not math.isnan(value):
            at = cell(self.scale, value)
            self.counts[arm][at] = self.counts[arm].get(at, 0) + 1

    def _close(self) -> None:
        pairs = zip(self.requests, self.counts, strict=True)
        self.running.minute(Minute(*(Sample(n, {self.name: counts}) for n, counts in pairs)))
        self._empty()

    def _empty(self) -> None:
        self.requests = [0, 0]
        self.counts: list[dict[int, float]] = [{}, {}]
