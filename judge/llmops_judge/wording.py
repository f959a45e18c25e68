"""The reason of a verdict: one sentence with both arms' figures, the evidence and its bound."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_judge import figures
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import GuardName, MetricVerdict, Verdict

Pairs = list[tuple[Metric, MetricVerdict]]

UNFIT = frozenset[GuardName](("sample_ratio", "contamination"))
"""Guards that say the arms cannot be compared."""


@dataclass(frozen=True)
class Progress:
    """What a sentence needs beside the verdict.

    peak: the highest evidence of the family so far. elapsed_minutes: of canary traffic.
    weight: the canary's share of the requests.
    """

    peak: float
    elapsed_minutes: float
    weight: float


def reason(policy: Policy, verdict: Verdict, progress: Progress) -> str:
    """Why the decision is what it is, or what it still waits for."""
    if verdict.decision == "rollback":
        return _guard(verdict, "limit") or _worse(policy, verdict, progress)
    if verdict.decision == "promote":
        return _harmless(policy, verdict)
    unfit = next((guard.text for guard in verdict.guards if guard.guard in UNFIT), None)
    if unfit is not None:
        return unfit
    if verdict.hold:
        return _paused(policy, verdict)
    sentence = _open_question(policy, verdict, progress)
    if verdict.decision == "inconclusive":
        sentence = f"No decision within {_budget(policy, progress)}: {_lowered(sentence)}"
    return sentence


def warning(metric: Metric, verdict: MetricVerdict) -> str:
    """A metric that only warns and whose evidence is past its bound."""
    return figures.sentence(f"{_evidence(metric, verdict)}; this metric only warns")


def _worse(policy: Policy, verdict: Verdict, progress: Progress) -> str:
    gating = _gating(policy, verdict)
    metric, worst = max(gating, key=lambda pair: pair[1].against.value)
    bound = figures.number(verdict.family.bound)
    if len(gating) == 1:
        peak = figures.number(progress.peak)
        return figures.sentence(
            f"{_arms(metric, worst)}: the evidence that the canary is worse reached {peak}, "
            f"past the bound of {bound}"
        )
    return figures.sentence(
        f"{_arms(metric, worst)}: evidence {figures.number(worst.against.value)} that the canary "
        f"is worse; over all {len(gating)} gating metrics it reached "
        f"{figures.number(progress.peak)}, past the bound of {bound}"
    )


def _harmless(policy: Policy, verdict: Verdict) -> str:
    parts = [
        f"{figures.margin(metric)} (evidence {figures.number(of.for_.value)})"
        for metric, of in _gating(policy, verdict)
        if metric.no_data == "wait" or of.canary.n or of.baseline.n
    ]
    requests = sum(verdict.requests.values())
    return (
        f"The canary is proved harmless after {requests:,} requests: {'; '.join(parts)}; "
        f"the bound is {1 / policy.beta:g}."
    )


def _paused(policy: Policy, verdict: Verdict) -> str:
    metric, worst = max(
        (
            (policy.metric(of.metric), of)
            for of in verdict.metrics
            if of.mode == "pause" and of.decision == "rollback"
        ),
        key=lambda pair: pair[1].against.value,
    )
    return figures.sentence(f"{_evidence(metric, worst)}; this metric waits for a person")


def _open_question(policy: Policy, verdict: Verdict, progress: Progress) -> str:
    for name in ("shared_outage", "missing_data"):
        text = _guard(verdict, name)
        if text is not None and not _few(verdict):
            return text
    waiting = [pair for pair in _gating(policy, verdict) if pair[1].decision != "promote"]
    first = _guard(verdict, "minimum")
    if not first and not waiting:
        return _too_early(policy, progress)
    parts = [text for text in (first, _needs(verdict, waiting, progress)) if text is not None]
    if not parts:
        return "No gating metric has been reported in both arms."
    return figures.sentence("; ".join(_lowered(text.rstrip(".")) for text in parts))


def _needs(verdict: Verdict, waiting: Pairs, progress: Progress) -> str | None:
    """What the metric that matters most needs, with what both arms showed of it.

    First one that is past its own bound, then one that nothing decides, then the slowest.
    """
    seen = [pair for pair in waiting if pair[1].canary.n and pair[1].baseline.n]
    if not seen:
        return None
    metric, of = max(seen, key=lambda pair: _urgency(pair[1]))
    if of.decision == "rollback":
        return (
            f"{_evidence(metric, of)}, but over all gating metrics it is "
            f"{figures.number(verdict.family.value)}"
        )
    if of.needs_requests is None:
        return f"{_arms(metric, of)}: at these rates no number of requests in sight decides it"
    others = [other.name.replace("_", " ") for other, _ in seen if other is not metric]
    also = f"; {figures.listed(others)} sooner" if others else ""
    return f"{_forecast(of, progress)}, for {_arms(metric, of)}{also}"


def _urgency(of: MetricVerdict) -> tuple[bool, bool, int]:
    return of.decision == "rollback", of.needs_requests is None, of.needs_requests or 0


def _forecast(of: MetricVerdict, progress: Progress) -> str:
    more = of.needs_requests or 0
    canary = max(1, round(more * progress.weight))
    time = "" if of.needs_minutes is None else f", about {figures.duration(of.needs_minutes)}"
    rate = " at this rate" if time else ""
    return f"needs about {more:,} more requests ({canary:,} of the canary){time}{rate}"


def _too_early(policy: Policy, progress: Progress) -> str:
    return (
        f"Every gating metric is proved harmless, but a promotion waits for "
        f"{policy.minimum_minutes:g} minutes of canary traffic ({progress.elapsed_minutes:.1f} so "
        "far)."
    )


def _budget(policy: Policy, progress: Progress) -> str:
    if progress.elapsed_minutes >= policy.maximum_minutes or policy.maximum_requests is None:
        return f"{policy.maximum_minutes:g} minutes"
    return f"{policy.maximum_requests:,} requests"


def _few(verdict: Verdict) -> bool:
    """Whether an arm has fewer requests than the minimum."""
    return any(guard.guard == "minimum" and guard.metric is None for guard in verdict.guards)


def _guard(verdict: Verdict, name: str) -> str | None:
    return next((guard.text for guard in verdict.guards if guard.guard == name), None)


def _evidence(metric: Metric, of: MetricVerdict) -> str:
    return (
        f"{_arms(metric, of)}: evidence {figures.number(of.against.value)} that the canary is "
        f"worse, bound {figures.number(of.against.bound)}"
    )


def _arms(metric: Metric, of: MetricVerdict) -> str:
    return figures.arms(metric, of.baseline, of.canary)


def _gating(policy: Policy, verdict: Verdict) -> Pairs:
    pairs = zip(policy.metrics, verdict.metrics, strict=True)
    return [(metric, of) for metric, of in pairs if metric.gates]


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:]
