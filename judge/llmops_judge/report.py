"""The figures behind a decision: both arms, the evidence each way, what is still needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmops_judge import forecast, guards, share, wealth, wording
from llmops_judge.intervals import interval
from llmops_judge.minimums import enough
from llmops_judge.observations import to_cells
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import Decision, Evidence, MetricVerdict, Verdict

State = Mapping[str, Any]


def verdict(
    policy: Policy, weight: float, state: State, decision: Decision, elapsed_minutes: float = 0
) -> Verdict:
    """The whole verdict for a state on which `decision` was taken.

    elapsed_minutes: since the canary took traffic, by the caller's clock.
    """
    metrics = tuple(
        replace(of, needs_minutes=_minutes(state, of.needs_requests, elapsed_minutes))
        for of in (_metric(policy, weight, state, metric, decision) for metric in policy.metrics)
    )
    fired = guards.fired(policy, weight, state)
    if decision == "rollback":
        fired = tuple(guard for guard in fired if guard.guard != "minimum")
    requests = state["requests"]
    served = share.evidence(requests["baseline"], requests["canary"], weight)
    silent = Verdict(
        decision=decision,
        reason="",
        requests=dict(requests),
        metrics=metrics,
        family=Evidence(wealth.value(state["family"]), _bound(policy.alpha)),
        share=Evidence(wealth.value(served), 1 / share.LIMIT_P),
        guards=fired,
        warnings=tuple(
            wording.warning(metric, of)
            for metric, of in zip(policy.metrics, metrics, strict=True)
            if metric.mode == "warn" and of.decision == "rollback"
        ),
        hold=decision == "inconclusive"
        and not any(guard.guard in wording.UNFIT for guard in fired)
        and any(of.mode == "pause" and of.decision == "rollback" for of in metrics),
    )
    progress = wording.Progress(wealth.value(state["peak"]), elapsed_minutes, weight)
    return replace(silent, reason=wording.reason(policy, silent, progress))


def _metric(
    policy: Policy, weight: float, state: State, metric: Metric, overall: Decision
) -> MetricVerdict:
    own = state["metrics"][metric.name]
    seen = own["seen"]
    decided = _metric_decision(policy, state, metric, overall)
    open_ = decided in ("wait", "inconclusive")
    more = forecast.requests_needed(policy, weight, state, metric) if open_ else None
    return MetricVerdict(
        metric=metric.name,
        mode=metric.mode,
        statistic=metric.statistic,
        unit=metric.unit,
        decision=decided,
        baseline=interval(metric, to_cells(seen["baseline"])),
        canary=interval(metric, to_cells(seen["canary"])),
        against=Evidence(wealth.value(own["against"]["now"]), _bound(policy.alpha)),
        for_=Evidence(wealth.value(own["for"]["now"]), _bound(policy.beta)),
        needs_requests=more,
        needs_minutes=None,
    )


def _metric_decision(policy: Policy, state: State, metric: Metric, overall: Decision) -> Decision:
    """What the metric says alone, whatever its mode; evidence that it is worse sticks."""
    own = state["metrics"][metric.name]
    if state["limit"] == metric.name:
        return "rollback"
    if enough(policy, state, metric):
        highest = max(own["against"]["peak"], own["against"]["now"])
        if highest >= -math.log(policy.alpha):
            return "rollback"
        if own["for"]["now"] >= -math.log(policy.beta):
            return "promote"
    return "inconclusive" if overall == "inconclusive" else "wait"


def _minutes(state: State, more: int | None, elapsed_minutes: float) -> float | None:
    """The time that so many more requests take at the traffic seen so far."""
    minutes: float = state["minutes"] or elapsed_minutes
    requests: int = sum(state["requests"].values())
    if more is None or not minutes or not requests:
        return None
    return round(more * minutes / requests, 1)


def _bound(rate: float) -> float:
    return round(1 / rate, 6)
