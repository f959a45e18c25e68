"""What explains that a verdict is not what the evidence alone would say.

| guard | fires when | then |
|---|---|---|
| limit | the canary's figure went past a metric's hard limit | rollback |
| sample_ratio | the canary does not serve the router's share (`share`) | inconclusive |
| contamination | labels tell the arms apart (`contamination`) | inconclusive |
| minimum | an arm has few requests, or few outcomes of a gating metric | wait |
| missing_data | a gating metric is not reported while requests come | nothing is promoted |
| shared_outage | both arms are far above their history (`outage`) | nothing is promoted |

The part of the judge's state that is kept here:

    {"minute": 12, "busy": 12,                         minutes, and those with requests
     "missing": {"quality": [3, 2, 11]},               minutes without it, the last how many in a
                                                       row, since which minute
     "recent": {"errors": [[W, sum, squares], [..]]},  see `outage`, per arm
     "labels": {"feature": {"faq": [1620, 180]}}}      see `contamination`, per arm
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from llmops_judge import contamination, figures, outage, share, wealth
from llmops_judge.intervals import statistic
from llmops_judge.minimums import asked, minimum, outcomes
from llmops_judge.observations import Minute, to_cells
from llmops_judge.policy import Metric, Policy
from llmops_judge.verdict import Guard

LATE = 3
"""Minutes in a row without a metric that make it late."""
RARE = 0.5
"""Share of the minutes without a metric above which it is reported too rarely."""
KINDS = {
    "feature": "the feature",
    "fingerprint": "the model version",
    "cache": "the cache result",
}

State = Mapping[str, Any]


def start(policy: Policy) -> dict[str, Any]:
    """The guards' state before the first minute."""
    return {
        "minute": 0,
        "busy": 0,
        "missing": {metric.name: [0, 0, 0] for metric in _awaited(policy)},
        "recent": outage.start(policy),
        "labels": {kind: {} for kind in policy.contamination},
    }


def after(policy: Policy, weight: float, state: State, minute: Minute) -> dict[str, Any]:
    """The guards' state after one more minute."""
    busy = any(sample.requests for sample in minute)
    number = state["minute"] + 1
    new = tuple(sample.labels for sample in minute)
    return {
        "minute": number,
        "busy": state["busy"] + busy,
        "missing": {
            name: _missed(seen, minute.pair(name) is None, number) if busy else seen
            for name, seen in state["missing"].items()
        },
        "recent": outage.after(policy, state["recent"], minute),
        "labels": {
            kind: contamination.after(seen, tuple(labels.get(kind, {}) for labels in new))
            for kind, seen in state["labels"].items()
        },
    }


def fired(policy: Policy, weight: float, state: State) -> tuple[Guard, ...]:
    """The guards that fire now, each with one sentence; state: the whole state of the judge."""
    return (
        *_limit(policy, state),
        *_sample_ratio(weight, state),
        *_contamination(policy, weight, state),
        *_minimum(policy, state),
        *_missing_data(policy, state),
        *_shared_outage(policy, state),
    )


def _awaited(policy: Policy) -> tuple[Metric, ...]:
    return tuple(metric for metric in policy.deciding if metric.no_data == "wait")


def _missed(seen: list[int], missing: bool, minute: int) -> list[int]:
    without, streak, since = seen
    if not missing:
        return [without, 0, 0]
    return [without + 1, streak + 1, since or minute]


def _limit(policy: Policy, state: State) -> Iterator[Guard]:
    if state["limit"] is None:
        return
    metric = policy.metric(state["limit"])
    canary = to_cells(state["metrics"][metric.name]["seen"]["canary"])
    now = figures.amount(metric, statistic(metric, canary))
    text = (
        f"The canary's {figures.name(metric)} went past the hard limit of "
        f"{figures.amount(metric, metric.limit)}: it is {now} of {sum(canary.values()):,.0f} now."
    )
    yield Guard("limit", text, metric.name)


def _sample_ratio(weight: float, state: State) -> Iterator[Guard]:
    baseline, canary = state["requests"]["baseline"], state["requests"]["canary"]
    evidence = share.evidence(baseline, canary, weight)
    if evidence >= -math.log(share.LIMIT_P):
        together = baseline + canary
        yield Guard(
            "sample_ratio",
            f"The canary served {figures.percent(canary / together)} of {together:,} requests, "
            f"but the router was told {figures.percent(weight)} (evidence {_value(evidence)}, "
            f"bound {figures.number(1 / share.LIMIT_P)}): the router or the metrics are at fault, "
            "so the arms cannot be compared.",
        )


def _contamination(policy: Policy, weight: float, state: State) -> Iterator[Guard]:
    for kind in policy.contamination:
        labels = state["guards"]["labels"].get(kind, {})
        found = contamination.difference(labels)
        if found is None:
            continue
        evidence = contamination.evidence(labels, weight)
        if evidence >= -math.log(contamination.LIMIT_P):
            yield Guard(
                "contamination",
                f"The arms' traffic is not alike: {KINDS[kind]} {found.label!r} has "
                f"{figures.percent(found.canary)} of the canary's labelled requests, "
                f"{figures.percent(found.baseline)} of the baseline's (evidence {_value(evidence)},"
                f" bound {figures.number(1 / contamination.LIMIT_P)}), so they cannot be compared.",
            )


def _minimum(policy: Policy, state: State) -> Iterator[Guard]:
    arm, fewest = min(state["requests"].items(), key=lambda item: item[1])
    if fewest < policy.minimum_requests:
        yield Guard(
            "minimum",
            f"The {arm} has {fewest:,} requests, but {policy.minimum_requests:,} are the minimum "
            "in each arm.",
        )
        return
    for metric in asked(policy, state):
        counts = outcomes(state, metric)
        least = minimum(policy, metric, sum(counts), sum(state["requests"].values()))
        if any(counts) and min(counts) < least:
            arm = "baseline" if counts[0] < counts[1] else "canary"
            yield Guard(
                "minimum",
                f"The {arm} has {min(counts):,.0f} outcomes of {metric.name}, but {least:,} are "
                "the minimum in each arm.",
                metric.name,
            )


def _missing_data(policy: Policy, state: State) -> Iterator[Guard]:
    busy = state["guards"]["busy"]
    for metric in _awaited(policy):
        without, streak, since = state["guards"]["missing"][metric.name]
        never = not any(outcomes(state, metric))
        if never and min(state["requests"].values()) >= policy.minimum_requests:
            how = f"was not reported in any of {busy:,} minutes with requests"
        elif streak >= LATE:
            how = (
                f"is late: not reported by both arms since minute {since}, and in {without:,} of "
                f"{busy:,} minutes with requests"
            )
        elif busy >= LATE and without > RARE * busy:
            how = f"was not reported by both arms in {without:,} of {busy:,} minutes with requests"
        else:
            continue
        text = f"{metric.name} {how}: without it nothing is promoted."
        yield Guard("missing_data", figures.sentence(text), metric.name)


def _shared_outage(policy: Policy, state: State) -> Iterator[Guard]:
    history = (state["history"] or {}).get("counts", {})
    for metric in outage.watched(policy):
        usual = to_cells(history.get(metric.name, {}))
        recent = state["guards"]["recent"][metric.name]
        found = outage.found(metric, recent, usual, policy.outage_factor)
        if found is not None:
            yield Guard("shared_outage", _outage_text(metric, found), metric.name)


def _outage_text(metric: Metric, found: outage.Outage) -> str:
    what = metric.name.replace("_", " ")
    if metric.scale == "share" and metric.direction == "higher":
        what = f"bad {what}"
    canary, baseline, usual = (
        figures.amount(metric, value) for value in (found.canary, found.baseline, found.history)
    )
    return (
        f"Both arms are far above their history: {what} lately {canary} in the canary and "
        f"{baseline} in the baseline, {usual} before the rollout; nothing is promoted while "
        "something they share is down."
    )


def _value(log: float) -> str:
    return figures.number(wealth.value(log))
