"""How many outcomes are few: below them neither a metric nor the rollout is decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_judge.observations import ARMS, size, to_cells
from llmops_judge.policy import Metric, Policy


def enough(policy: Policy, state: Mapping[str, Any], metric: Metric) -> bool:
    """Whether each arm has the outcomes that the metric needs to decide."""
    counts = outcomes(state, metric)
    return min(counts) >= minimum(policy, metric, sum(counts), sum(state["requests"].values()))


def minimum(policy: Policy, metric: Metric, outcomes: float, requests: float) -> int:
    """The metric's own minimum, else the policy's; a tenth where less than half of requests count.

    outcomes, requests: of both arms so far.
    """
    if metric.minimum is not None:
        return metric.minimum
    if 2 * outcomes >= requests:
        return policy.minimum_requests
    return math.ceil(policy.minimum_requests / 10)


def outcomes(state: Mapping[str, Any], metric: Metric) -> tuple[float, float]:
    """How many outcomes of the metric the baseline and the canary had, in the judge's state."""
    seen = state["metrics"][metric.name]["seen"]
    baseline, canary = (size(to_cells(seen[arm])) for arm in ARMS)
    return baseline, canary


def asked(policy: Policy, state: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The gating metrics that a promotion must prove: all but those that may be without data."""
    return tuple(
        metric
        for metric in policy.deciding
        if metric.no_data == "wait" or any(outcomes(state, metric))
    )
