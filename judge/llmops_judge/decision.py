"""What follows from a state: the order in which evidence and guards decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_judge import guards
from llmops_judge.minimums import asked, enough
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import Decision

UNFIT = {"sample_ratio", "contamination"}
"""Guards that say the arms cannot be compared."""
WAITING = {"minimum", "shared_outage", "missing_data"}
"""Guards that withhold a promotion."""


def decide(
    policy: Policy, weight: float, state: Mapping[str, Any], elapsed_minutes: float | None
) -> tuple[Decision, bool]:
    """The decision, and whether a person has to look (a `pause` metric is past its bound).

    elapsed_minutes: since the canary took traffic; None: no limit on time is looked at.
    """
    if state["limit"] is not None or state["peak"] >= -math.log(policy.alpha):
        return "rollback", False
    fired = {guard.guard for guard in guards.fired(policy, weight, state)}
    if fired & UNFIT:
        return "inconclusive", False
    paused = any(_paused(policy, state, metric) for metric in policy.metrics)
    if paused and not fired & {"minimum", "shared_outage"}:
        return "inconclusive", True
    if not fired & WAITING and _ripe(policy, elapsed_minutes) and _harmless(policy, state):
        return "promote", False
    return ("inconclusive" if _late(policy, state, elapsed_minutes) else "wait"), False


def _paused(policy: Policy, state: Mapping[str, Any], metric: Metric) -> bool:
    return (
        metric.mode == "pause"
        and enough(policy, state, metric)
        and state["metrics"][metric.name]["against"]["peak"] >= -math.log(policy.alpha)
    )


def _harmless(policy: Policy, state: Mapping[str, Any]) -> bool:
    """Whether every gating metric is proved harmless now, of those that were ever reported."""
    metrics = asked(policy, state)
    return bool(metrics) and all(
        enough(policy, state, metric)
        and state["metrics"][metric.name]["for"]["now"] >= -math.log(policy.beta)
        for metric in metrics
    )


def _ripe(policy: Policy, elapsed_minutes: float | None) -> bool:
    return elapsed_minutes is None or elapsed_minutes >= policy.minimum_minutes


def _late(policy: Policy, state: Mapping[str, Any], elapsed_minutes: float | None) -> bool:
    if elapsed_minutes is not None and elapsed_minutes >= policy.maximum_minutes:
        return True
    most = policy.maximum_requests
    return most is not None and sum(state["requests"].values()) >= most
