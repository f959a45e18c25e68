"""The page's tables: the last verdict, events, guards, other rules, spending, the policy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmops_runbooks import figures
from llmops_runbooks.evidence import events
from llmops_runbooks.evidence.html import Html, details, element, join, table
from llmops_runbooks.moments import seconds

Json = Mapping[str, Any]

GUARDS = {
    "minimum": "too few requests",
    "sample_ratio": "share served",
    "missing_data": "missing data",
    "shared_outage": "shared outage",
    "contamination": "contamination",
    "limit": "hard limit",
}
POLICY_WORDS = {
    "alpha": "at most this share of harmless canaries is rolled back",
    "beta": "at most this share of canaries worse by a margin is promoted",
    "minimum_requests": "requests in each arm before anything is decided",
    "minimum_minutes": "minutes of canary traffic before a promotion",
    "maximum_minutes": "minutes after which an undecided rollout is inconclusive",
    "maximum_requests": "requests of both arms after which it is inconclusive",
    "inconclusive": "what is done with an inconclusive rollout",
    "contamination": "labels by which the arms' traffic must be alike",
    "outage_factor": "times their history that both arms' errors are in a shared outage",
}
METRIC_KEYS = ("mode", "margin", "tail_margin", "minimum", "limit", "no_data")


def verdict(evidence: Json) -> Html:
    """The last verdict, a row per metric."""
    last = evidence["verdict"]
    if last is None:
        return element("p", "The judge gave no verdict.", class_="soft")
    heads = ("Metric", "Mode", "Baseline", "Canary", "Worse", "Harmless", "Needs")
    rows = [_metric(metric) for metric in last["metrics"]]
    family = ("all together", "", "", "", _evidence(last["family"], "bad"), "", "")
    return join([_warnings(last), table(heads, [*rows, family], numbers=(2, 3))])


def _warnings(last: Json) -> Html:
    said = [element("p", f"Warning: {text}", class_="warning") for text in last["warnings"]]
    return join(said)


def _metric(metric: Json) -> tuple[object, ...]:
    return (
        element("b", figures.label(metric)),
        metric["mode"],
        _arm(metric, "baseline"),
        _arm(metric, "canary"),
        _evidence(metric["against"], "bad"),
        _evidence(metric["for"], "good"),
        figures.needs(metric),
    )


def _arm(metric: Json, name: str) -> Html:
    arm = metric[name]
    known = arm["low"] is not None and arm["high"] is not None
    ends = [
        figures.value(arm[end], statistic=metric["statistic"], unit=metric["unit"])
        for end in ("low", "high")
    ]
    reach = f"{ends[0]} to {ends[1]} · " if known else ""
    return join(
        [
            element("span", figures.arm(metric, name), class_="figure"),
            element("small", f"{reach}n {figures.count(arm['n'])}"),
        ]
    )


def _evidence(side: Json, tone: str) -> Html:
    """The e-value of its bound, and how far it has come, as a bar on a log scale."""
    past = side["value"] >= side["bound"]
    bar = element("i", style=f"width:{100 * reached(side):.0f}%")
    text = element("span", figures.against(side), class_=f"{tone} past" if past else None)
    return join([text, element("span", bar, class_=f"bar {tone}", aria_hidden="true")])


def reached(side: Json) -> float:
    """From 0 (an e-value of 1 or less: none) to 1 (the bound)."""
    if side["value"] <= 1:
        return 0.0
    return min(1.0, math.log(side["value"]) / math.log(side["bound"]))


def timeline(evidence: Json) -> Html:
    """What happened, numbered as on the chart."""
    started = evidence["deployment"]["started"]
    rows = [
        (
            element("span", number, class_=f"number-{event['kind']} ball"),
            join([figures.clock(event["at"]), element("small", since(event["at"], started))]),
            event["by"],
            event["text"],
        )
        for number, event in enumerate(evidence["events"], 1)
    ]
    return table(("", "UTC", "Who", "What"), rows, style="events") if rows else Html()


def since(at: str, started: str | None) -> str:
    """`+14:12` since the start of the rollout."""
    if not started:
        return ""
    passed = seconds(at) - seconds(started)
    return ("+" if passed >= 0 else "") + figures.stopwatch(passed)


def guards(evidence: Json) -> Html:
    """The guards that fired, each with its newest sentence."""
    rows = [
        (
            element("b", GUARDS.get(guard["guard"], guard["guard"])),
            figures.title(guard.get("metric") or ""),
            stretch(guard),
            guard["text"],
        )
        for guard in events.guards(evidence["calls"])
    ]
    if not rows:
        return element("p", "No guard fired.", class_="soft")
    return table(("Guard", "Metric", "UTC", "What it saw"), rows)


def stretch(guard: Json) -> str:
    """From when to when a guard was up."""
    first, last = figures.clock(guard["first"]), figures.clock(guard["last"])
    return first if first == last else f"{first} to {last}"


def spend(evidence: Json) -> Html:
    """What scoring the answers cost."""
    spent = evidence["spend"]
    if spent is None:
        return element("p", "What scoring cost was not recorded.", class_="soft")
    both = sum(spent[arm] or 0 for arm in ("baseline", "canary"))
    return element(
        "p",
        f"Scoring live answers cost {figures.dollars(both)}: "
        f"{figures.dollars(spent['canary'] or 0)} for the canary, "
        f"{figures.dollars(spent['baseline'] or 0)} for the baseline.",
    )


def policy(evidence: Json) -> Html:
    """The rules it was judged by."""
    rules = evidence["policy"]
    if not rules:
        return Html()
    rows = [
        (element("code", key), _setting(rules[key]), words)
        for key, words in POLICY_WORDS.items()
        if key in rules
    ]
    metrics = [
        (element("b", figures.title(name)), *(_setting(metric.get(key)) for key in METRIC_KEYS))
        for name, metric in (rules.get("metrics") or {}).items()
    ]
    heads = ("Metric", *(figures.title(key).capitalize() for key in METRIC_KEYS))
    parts: Iterator[Html] | Sequence[Html] = (
        table(("Rule", "Value", "Meaning"), rows, style="plain"),
        table(heads, metrics) if metrics else Html(),
    )
    return details("Policy in effect", *parts)


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, float):
        return f"{value:g}"
    return figures.UNKNOWN if value is None else str(value)
