"""The reason of a verdict: one sentence with both numbers."""

from __future__ import annotations

from llmops_judge.policy import Policy
from llmops_judge.verdict import MetricVerdict, Verdict


def reason(policy: Policy, weight: float, verdict: Verdict) -> str:
    """Why the decision is what it is, or what it still waits for."""
    if verdict.decision == "rollback":
        return _worse(policy, verdict)
    if verdict.decision == "promote":
        return _harmless(policy, verdict)
    if verdict.share.value >= verdict.share.bound:
        return _share_is_off(weight, verdict.requests)
    return _undecided(policy, verdict)


def _worse(policy: Policy, verdict: Verdict) -> str:
    worst = max(_deciding(policy, verdict), key=lambda metric: metric.against.value)
    return (
        f"{_arms(worst).capitalize()}: evidence {_number(worst.against.value)} that the canary "
        f"is worse, past the bound of {_number(worst.against.bound)}."
    )


def _harmless(policy: Policy, verdict: Verdict) -> str:
    margins = {metric.name: metric.margin for metric in policy.metrics}
    parts = [
        f"{metric.metric} less than {100 * margins[metric.metric]:g} points worse "
        f"(evidence {_number(metric.for_.value)}, bound {_number(metric.for_.bound)})"
        for metric in _deciding(policy, verdict)
    ]
    requests = sum(verdict.requests.values())
    return f"The canary is shown to be harmless after {requests:,} requests: {'; '.join(parts)}."


def _share_is_off(weight: float, requests: dict[str, int]) -> str:
    together = sum(requests.values())
    served = _percent(requests["canary"] / together)
    return (
        f"The canary served {served} of {together:,} requests, but the router was told "
        f"{_percent(weight)}: the router or the metrics are at fault, so the arms cannot be "
        "compared."
    )


def _undecided(policy: Policy, verdict: Verdict) -> str:
    sentence = _open_question(policy, verdict)
    if verdict.decision == "inconclusive":
        return f"No decision within {policy.maximum_minutes:g} minutes: {sentence}"
    return sentence[0].upper() + sentence[1:]


def _open_question(policy: Policy, verdict: Verdict) -> str:
    arm, fewest = min(verdict.requests.items(), key=lambda item: item[1])
    if fewest < policy.minimum_requests:
        return (
            f"the {arm} has {fewest:,} requests, but {policy.minimum_requests:,} are the minimum "
            "in each arm."
        )
    deciding = _deciding(policy, verdict)
    waiting = [metric for metric in deciding if metric.decision != "promote"] or deciding
    return "; ".join(f"{metric.metric} {_needing(metric)}" for metric in waiting) + "."


def _needing(metric: MetricVerdict) -> str:
    if metric.needs_requests is None:
        return f"is not settled ({_arms(metric)})"
    return f"needs about {metric.needs_requests:,} more requests ({_arms(metric)})"


def _arms(metric: MetricVerdict) -> str:
    bad = "poor answers" if metric.metric == "quality" else metric.metric
    return (
        f"{bad} {_percent(metric.canary.value)} of {metric.canary.n:,} in the canary, "
        f"{_percent(metric.baseline.value)} of {metric.baseline.n:,} in the baseline"
    )


def _deciding(policy: Policy, verdict: Verdict) -> list[MetricVerdict]:
    names = {metric.name for metric in policy.deciding}
    return [metric for metric in verdict.metrics if metric.metric in names]


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.1f} %"


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value:.1e}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
