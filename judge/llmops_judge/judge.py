"""The judge: observations change a state, the state and a policy give a verdict.

The state is a JSON value that equals itself after a round trip:

    {"minutes": 12,
     "requests": {"baseline": 2160, "canary": 240},
     "pending": {"baseline": 0, "canary": 0},      requests not settled yet; 0 after a minute
     "family": 0.31,                               log of the deciding metrics' mean wealth, now
     "peak": 0.9,                                  the highest it was; log(1/alpha) rolls back
     "limit": null,                                the first metric seen past its hard limit
     "history": {"requests": 2000, "counts": {"errors": [[0, 1990, 10]]}} or null,
     "guards": {...},                              what `guards.start` and `guards.after` return
     "metrics": {"errors": {
        "seen": {"baseline": [[0, 2140, 20]], "canary": [[0, 238, 2]]},   in all
        "since": null,                             the part of it not settled yet, as `seen`
        "past": [[0, 1900, 18.2]],                 what bets are laid on: history and both arms'
                                                   past, with a memory of bounded length
        "against": {"asleep": -1.9, "staked": [..log wealth per expert..], "now": 0.31},
        "for": {"margin": [..log wealth per stake..], "tail": [..] or null,
                "threshold": cell or null,              where the tail begins
                "ends": [low, high] or null,       of what counts, see `llmops_judge.harmless`
                "now": 2.1}}}}                     log, the lesser of both proofs

Counts of cells are kept as runs, [lowest cell, count, count, ...]; `observations.to_cells` reads
them. Bets are laid when counts are *settled*: at every minute, and with single requests each time
their number has grown by an eighth. Between two settlements every bet is fixed, so the order of the
requests does not matter and the state needs to hold counts only. `against.now` is exact at every
request; `for`, `limit` and `guards` are brought up to date at settlements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmops_judge import guards, report, track
from llmops_judge.decision import decide
from llmops_judge.observations import Arm, History, Minute, to_runs
from llmops_judge.policy import Policy
from llmops_judge.running import Running
from llmops_judge.verdict import Decision, Verdict

State = dict[str, Any]
"""JSON-serialisable, see above."""


class Judge:
    """Judges one rollout. Holds no observations: they live in the state it hands out.

    weight: the canary's share of the requests, 0 to 1, as the router was told.
    """

    def __init__(self, policy: Policy, weight: float) -> None:
        if not 0 < weight < 1:
            raise ValueError(f"The canary's weight is {weight}, but it must be between 0 and 1.")
        self.policy = policy
        self.weight = weight

    def start(self, history: History | None = None) -> State:
        """The state before the first observation; history: what the baseline did before."""
        past = {} if history is None else history.counts
        return {
            "minutes": 0,
            "requests": {"baseline": 0, "canary": 0},
            "pending": {"baseline": 0, "canary": 0},
            "family": 0.0,
            "peak": 0.0,
            "limit": None,
            "history": None if history is None else _kept(self.policy, history),
            "guards": guards.start(self.policy),
            "metrics": {
                metric.name: track.start(metric, past.get(metric.name, {}))
                for metric in self.policy.metrics
            },
        }

    def resume(self, state: State) -> Running:
        """The rollout as an object that changes: for many single requests."""
        return Running(self.policy, self.weight, state)

    def observe(self, state: State, arm: Arm, outcome: Mapping[str, float]) -> State:
        """The state after one finished request; metrics it did not have are left out."""
        running = self.resume(state)
        running.observe(arm, outcome)
        return running.state()

    def minute(self, state: State, minute: Minute) -> State:
        """The state after one minute's counts of both arms."""
        running = self.resume(state)
        running.minute(minute)
        return running.state()

    def decided(self, state: State) -> Decision:
        """The decision by the evidence alone, whatever the clock says: no minute is too early or
        too late. Cheap: nothing is explained.
        """
        return self.decide(state, elapsed_minutes=None)

    def decide(self, state: State, *, elapsed_minutes: float | None) -> Decision:
        """The decision; elapsed_minutes None: no limit on time is looked at."""
        return decide(self.policy, self.weight, state, elapsed_minutes)[0]

    def verdict(self, state: State, *, elapsed_minutes: float = 0) -> Verdict:
        """The decision with its reason and all evidence.

        elapsed_minutes: since the canary took traffic, by the caller's clock.
        """
        decision, hold = decide(self.policy, self.weight, state, elapsed_minutes)
        verdict = report.verdict(self.policy, self.weight, state, decision, elapsed_minutes)
        return replace(verdict, hold=hold)


def _kept(policy: Policy, history: History) -> dict[str, Any]:
    """What is asked for again: shares, and what shows an outage. The past holds all of it."""
    names = {
        metric.name
        for metric in policy.metrics
        if metric.scale == "share" or (metric.gates and metric.scale == "ratio")
    }
    return {
        "requests": history.requests,
        "counts": {
            name: to_runs(track.faded(counts))
            for name, counts in history.counts.items()
            if name in names
        },
    }
