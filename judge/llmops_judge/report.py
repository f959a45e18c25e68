"""The figures behind a decision: both arms, the evidence each way, what is still needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmops_judge import forecast, share, wealth, wording
from llmops_judge.observations import Pair, Tally
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import ArmFigures, Decision, Evidence, MetricVerdict, Verdict


def verdict(policy: Policy, weight: float, state: Mapping[str, Any], decision: Decision) -> Verdict:
    """The whole verdict for a state on which `decision` was taken."""
    silent = Verdict(
        decision=decision,
        reason="",
        requests=dict(state["requests"]),
        metrics=tuple(
            _metric(policy, weight, state, metric, decision) for metric in policy.metrics
        ),
        family=Evidence(wealth.value(state["family"]), _bound(policy.alpha)),
        share=Evidence(wealth.value(wealth.total(state["share"])), 1 / share.LIMIT_P),
    )
    return replace(silent, reason=wording.reason(policy, weight, silent))


def _metric(
    policy: Policy, weight: float, state: Mapping[str, Any], metric: Metric, overall: Decision
) -> MetricVerdict:
    own = state["metrics"][metric.name]
    seen = Pair(Tally(*own["seen"][:2]), Tally(*own["seen"][2:]))
    worse = Evidence(wealth.value(wealth.total(own["against"])), _bound(policy.alpha))
    fine = Evidence(wealth.value(wealth.total(own["for"])), _bound(policy.beta))
    decided = _metric_decision(overall, worse, fine)
    needs = None if decided != "wait" else _needs(policy, weight, own, seen, metric)
    requests = sum(state["requests"].values())
    outcomes = seen.pooled.n
    more = None if needs is None or not outcomes else math.ceil(needs * requests / outcomes)
    minutes = state["minutes"]
    return MetricVerdict(
        metric=metric.name,
        decision=decided,
        baseline=_figures(seen.baseline),
        canary=_figures(seen.canary),
        against=worse,
        for_=fine,
        needs_requests=more,
        needs_minutes=round(more * minutes / requests, 1) if more is not None and minutes else None,
    )


def _metric_decision(overall: Decision, worse: Evidence, fine: Evidence) -> Decision:
    if overall == "rollback" and worse.value >= worse.bound:
        return "rollback"
    if fine.value >= fine.bound:
        return "promote"
    return "inconclusive" if overall == "inconclusive" else "wait"


def _needs(
    policy: Policy, weight: float, own: Mapping[str, Any], seen: Pair, metric: Metric
) -> float | None:
    bounds = (math.log(len(policy.deciding) / policy.alpha), -math.log(policy.beta))
    return forecast.outcomes_needed(
        own["against"], own["for"], seen=seen, weight=weight, margin=metric.margin, bounds=bounds
    )


def _figures(tally: Tally) -> ArmFigures:
    rate = tally.rate
    return ArmFigures(int(tally.n), None if rate is None else round(rate, 6))


def _bound(rate: float) -> float:
    return round(1 / rate, 6)
