"""The judge: observations change a state, the state and a policy give a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_judge import against, harmless, report, share, wealth
from llmops_judge.observations import Arm, Minute, Pair, Sample, Tally
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import Decision, Verdict

State = dict[str, Any]
"""JSON-serialisable: request counts, and per metric the four counts and the log wealths."""


class Judge:
    """Judges one rollout. Holds no observations: they live in the state it hands out.

    weight: the canary's share of the requests, 0 to 1, as the router was told.
    """

    def __init__(self, policy: Policy, weight: float) -> None:
        if not 0 < weight < 1:
            raise ValueError(f"The canary's weight is {weight}, but it must be between 0 and 1.")
        self.policy = policy
        self.weight = weight

    def start(self) -> State:
        """The state before the first observation."""
        metrics = {
            metric.name: {
                "seen": [0, 0, 0, 0],
                "against": against.start(),
                "for": harmless.start(),
            }
            for metric in self.policy.metrics
        }
        return {
            "minutes": 0,
            "requests": {"baseline": 0, "canary": 0},
            "share": share.start(),
            "family": 0.0,
            "peak": 0.0,
            "metrics": metrics,
        }

    def observe(self, state: State, arm: Arm, outcome: Mapping[str, float]) -> State:
        """The state after one finished request; metrics it did not have are left out."""
        one = {
            metric.name: Tally(1, int(metric.is_bad(outcome[metric.name])))
            for metric in self.policy.metrics
            if metric.name in outcome
        }
        sample = Sample(1, one)
        minute = Minute(canary=sample) if arm == "canary" else Minute(baseline=sample)
        return self._after(state, minute)

    def minute(self, state: State, minute: Minute) -> State:
        """The state after one minute's counts of both arms."""
        after = self._after(state, minute)
        after["minutes"] += 1
        return after

    def decided(self, state: State) -> Decision:
        """The decision alone, without its explanation or the limit on time; cheap."""
        return self.decide(state, elapsed_minutes=0)

    def decide(self, state: State, *, elapsed_minutes: float) -> Decision:
        """The decision. Rollback sticks: once the family's evidence reached 1/alpha, it stays."""
        policy = self.policy
        late = elapsed_minutes >= policy.maximum_minutes
        if wealth.total(state["share"]) >= -math.log(share.LIMIT_P):
            return "inconclusive"
        if min(state["requests"].values()) < policy.minimum_requests:
            return "inconclusive" if late else "wait"
        if state["peak"] >= -math.log(policy.alpha):
            return "rollback"
        if all(self._harmless(state, metric) for metric in policy.deciding):
            return "promote"
        return "inconclusive" if late else "wait"

    def verdict(self, state: State, *, elapsed_minutes: float = 0) -> Verdict:
        """The decision with its reason and all evidence.

        elapsed_minutes: since the canary took traffic, by the caller's clock.
        """
        decision = self.decide(state, elapsed_minutes=elapsed_minutes)
        return report.verdict(self.policy, self.weight, state, decision)

    def _after(self, state: State, minute: Minute) -> State:
        requests = {
            "baseline": state["requests"]["baseline"] + minute.baseline.requests,
            "canary": state["requests"]["canary"] + minute.canary.requests,
        }
        metrics = {
            metric.name: self._metric_after(state["metrics"][metric.name], minute, metric)
            for metric in self.policy.metrics
        }
        together = family(self.policy, metrics)
        served = minute.baseline.requests, minute.canary.requests
        return {
            "minutes": state["minutes"],
            "requests": requests,
            "share": share.bet(state["share"], *served, self.weight),
            "family": together,
            "peak": max(state["peak"], together),
            "metrics": metrics,
        }

    def _metric_after(
        self, before: Mapping[str, Any], minute: Minute, metric: Metric
    ) -> dict[str, Any]:
        seen = minute.pair(metric.name)
        if seen is None:
            return dict(before)
        sofar = pair_of(before["seen"])
        past = sofar.pooled
        both = sofar.plus(seen)
        return {
            "seen": [*both.baseline, *both.canary],
            "against": against.bet(before["against"], past, seen, self.weight),
            "for": harmless.bet(before["for"], past, seen, self.weight, metric.margin),
        }

    def _harmless(self, state: State, metric: Metric) -> bool:
        reached = harmless.total(state["metrics"][metric.name]["for"])
        return reached >= -math.log(self.policy.beta)


def pair_of(seen: list[int]) -> Pair:
    """The tallies of a state's four counts."""
    return Pair(Tally(*seen[:2]), Tally(*seen[2:]))


def family(policy: Policy, metrics: Mapping[str, Any]) -> float:
    """Logarithm of the average of the deciding metrics' evidence against the canary."""
    return wealth.mean(
        [wealth.total(metrics[metric.name]["against"]) for metric in policy.deciding]
    )
