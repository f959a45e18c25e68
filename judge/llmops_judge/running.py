"""A rollout as an object that changes: one request costs microseconds, the verdicts are the same.

Between two settlements (see `llmops_judge.judge`) all bets are fixed, so a request only has to be
counted. How far the family's evidence can have risen since it was last computed is bounded by the
sum of the largest log factor of each outcome since; it is computed anew only when that sum could
have brought it to the bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_judge import guards, wealth
from llmops_judge.decision import decide
from llmops_judge.intervals import statistic
from llmops_judge.minimums import minimum
from llmops_judge.observations import ARMS, Arm, Counts, Minute, Sample, to_cells
from llmops_judge.policy import Metric, Policy
from llmops_judge.scales import cell
from llmops_judge.track import Track
from llmops_judge.verdict import Decision

FEWEST, GROWTH, MOST = 16, 8, 400
"""Single requests between two settlements: an eighth of those before, between these two."""


class Running:
    """The state of a rollout, changed in place. `state` hands out a copy at any time."""

    def __init__(self, policy: Policy, weight: float, state: Mapping[str, Any]) -> None:
        self.policy = policy
        self.weight = weight
        self.bound = -math.log(policy.alpha)
        self.minutes: int = state["minutes"]
        self.requests = [state["requests"][arm] for arm in ARMS]
        self.pending = [state["pending"][arm] for arm in ARMS]
        self.family: float = state["family"]
        self.peak: float = state["peak"]
        self.limit: str | None = state["limit"]
        self.history = state["history"]
        self.guards = state["guards"]
        past = (self.history or {}).get("counts", {})
        self.tracks = {
            metric.name: Track(
                metric,
                weight,
                state["metrics"][metric.name],
                to_cells(past.get(metric.name, {})),
            )
            for metric in policy.metrics
        }
        self.gating = [track for track in self.tracks.values() if track.metric.gates]
        self._lay()

    def state(self) -> dict[str, Any]:
        """The state now."""
        self._look()
        return {
            "minutes": self.minutes,
            "requests": dict(zip(ARMS, self.requests, strict=True)),
            "pending": dict(zip(ARMS, self.pending, strict=True)),
            "family": self.family,
            "peak": self.peak,
            "limit": self.limit,
            "history": self.history,
            "guards": self.guards,
            "metrics": {name: track.own() for name, track in self.tracks.items()},
        }

    def observe(self, arm: Arm, outcome: Mapping[str, float]) -> None:
        """Take in one finished request; metrics it did not have are left out."""
        index = 1 if arm == "canary" else 0
        self.requests[index] += 1
        self.pending[index] += 1
        for name, value in outcome.items():
            track = self.tracks.get(name)
            if track is not None:
                self._count(track, index, cell(track.metric.scale, value))
        self._left -= 1
        if self._left <= 0:
            self._settle(self._pending())

    def _count(self, track: Track, index: int, at: int) -> None:
        counts = track.since[index]
        counts[at] = counts.get(at, 0) + 1
        if track.metric.gates:
            self._credit -= track.bets.rise(at)[index]
            if self._credit <= 0:
                self._look()

    def minute(self, minute: Minute) -> None:
        """Take in one minute's counts of both arms."""
        if any(self.pending):
            self._settle(self._pending())
        for index, sample in enumerate(minute):
            self.requests[index] += sample.requests
        for name, track in self.tracks.items():
            pair = minute.pair(name)
            for index, counts in enumerate(pair or ()):
                for at, count in counts.items():
                    if count:
                        track.add(index, at, count)
        self.minutes += 1
        self._settle(minute)

    @property
    def rolled_back(self) -> bool:
        """Whether the evidence or a hard limit rolls back."""
        return self.peak >= self.bound or self.limit is not None

    def decided(self) -> Decision:
        """The decision, without the limit on time."""
        return decide(self.policy, self.weight, self.state(), None)[0]

    def _pending(self) -> Minute:
        baseline, canary = (
            Sample(
                self.pending[index],
                {name: dict(track.since[index]) for name, track in self.tracks.items()},
            )
            for index in (0, 1)
        )
        return Minute(baseline, canary)

    def _settle(self, minute: Minute) -> None:
        self._look(settling=True)
        for track in self.tracks.values():
            track.settle()
        self.pending = [0, 0]
        self.guards = guards.after(self.policy, self.weight, self.guards, minute)
        self._check_limits()
        self._lay()

    def _lay(self) -> None:
        self._credit = 0.0
        settled = sum(self.requests) - sum(self.pending)
        self._left = min(MOST, max(FEWEST, settled // GROWTH)) - sum(self.pending)
        self._look()

    def _look(self, *, settling: bool = False) -> None:
        """Compute the family's evidence; a metric without its minimum adds nothing to the peak.

        Below the bound the peak is kept up at settlements only, so that it does not depend on when
        one looks.
        """
        logs = [track.now() for track in self.gating]
        self.family = wealth.mean(logs)
        if self.family >= self.bound or settling:
            pairs = zip(self.gating, logs, strict=True)
            counted = [log if self._enough(track) else -math.inf for track, log in pairs]
            reached = wealth.mean(counted)
            if reached >= self.bound or settling:
                self.peak = max(self.peak, reached)
        self._credit = self.bound - self.family if self.peak < self.bound else math.inf

    def _enough(self, track: Track) -> bool:
        outcomes = track.outcomes()
        fewest = minimum(self.policy, track.metric, sum(outcomes), sum(self.requests))
        return min(outcomes) >= fewest

    def _check_limits(self) -> None:
        for track in self.tracks.values():
            if self.limit is None and self._enough(track) and _beyond(track.metric, track.seen(1)):
                self.limit = track.metric.name


def _beyond(metric: Metric, canary: Counts) -> bool:
    value = None if metric.limit is None else statistic(metric, canary)
    if value is None or metric.limit is None:
        return False
    return value > metric.limit if metric.direction == "lower" else value < metric.limit
