"""The page's tables: the figures at the end, every verdict, events, the policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from llmops_runbooks.evidence import figures
from llmops_runbooks.evidence.charts import NAMES

Json = Mapping[str, Any]

HOOK_WORDS = {"SUCCEEDED": "passed", "FAILED": "failed", "IN_PROGRESS": "asked again"}
POLICY_WORDS = {
    "alpha": "At most this share of harmless canaries is rolled back",
    "beta": "At most this share of canaries worse by a margin is promoted",
    "minimum_requests": "Requests in each arm before anything is decided",
    "maximum_minutes": "Minutes after which an undecided rollout is inconclusive",
    "error_margin": "Error margin (absolute difference)",
    "quality_margin": "Poor-answer margin (absolute difference)",
    "inconclusive": "An inconclusive rollout ends in",
}


def at_the_end(evidence: Json) -> str:
    """Both arms' figures at the last verdict, as a panel among the charts."""
    verdict = evidence["verdict"]
    if verdict is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(_name(metric))}</td>"
        f'<td class="number">{_rate(metric["baseline"])}</td>'
        f'<td class="number">{_rate(metric["canary"])}</td></tr>'
        f'<tr><td class="soft">n</td>'
        f'<td class="number soft">{figures.count(metric["baseline"]["n"])}</td>'
        f'<td class="number soft">{figures.count(metric["canary"]["n"])}</td></tr>'
        for metric in verdict["metrics"]
    )
    return (
        '<div class="panel"><figcaption><h3>Both arms at the last verdict</h3>'
        "<span>all judged minutes together</span></figcaption>"
        '<table><thead><tr><th></th><th class="number key-baseline">baseline</th>'
        f'<th class="number key-canary">canary</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def verdicts(evidence: Json) -> str:
    """Every verdict of the gate; one row per metric, with value, bound and sample size."""
    calls = evidence["verdicts"]
    if not calls:
        return '<p class="soft">The gate was not asked.</p>'
    head = "".join(
        f'<th class="{style}">{title}</th>'
        for title, style in (
            ("Time", ""),
            ("Canary", "number"),
            ("Answer", ""),
            ("Metric", ""),
            ("Baseline", "number"),
            ("n", "number"),
            ("Canary", "number"),
            ("n", "number"),
            ("Worse", "number"),
            ("Bound", "number"),
            ("Harmless", "number"),
            ("Bound", "number"),
            ("Needs about", "number"),
        )
    )
    body = "".join(_call(same[0], len(same)) for same in _alike(calls))
    return (
        f"<h3>Every verdict</h3><div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"{body}</table></div>"
    )


def _alike(calls: Iterable[Json]) -> Iterator[list[Json]]:
    """Neighbours that say the same: ECS asks more often than a minute ends."""

    def said(call: Json) -> tuple[Any, ...]:
        return call["hook_status"], call["weights"], call["verdict"], call.get("reason")

    for _, same in groupby(calls, key=said):
        yield list(same)


def _call(call: Json, times: int) -> str:
    answer = HOOK_WORDS.get(str(call["hook_status"]), "") + (f" ×{times}" if times > 1 else "")
    first = [
        f'<td class="when">{figures.clock(call["at"])}</td>',
        f'<td class="number">{figures.percent(call["weights"]["canary"] / 100, 0)}</td>',
        f"<td>{escape(answer)}</td>",
    ]
    verdict = call["verdict"]
    if verdict is None:
        reason = escape(str(call.get("reason") or ""))
        cells = f'<td class="words soft" colspan="10">{reason}</td>'
        return f'<tbody class="call"><tr>{"".join(first)}{cells}</tr></tbody>'
    rows = [_metric(metric) for metric in verdict["metrics"]]
    lines = [f"<tr>{''.join(first)}{rows[0]}</tr>"]
    lines += [f"<tr><td></td><td></td><td></td>{row}</tr>" for row in rows[1:]]
    return f'<tbody class="call">{"".join(lines)}</tbody>'


def _metric(metric: Json) -> str:
    needs = metric["needs_requests"]
    cells = [
        (_name(metric), ""),
        (_rate(metric["baseline"]), "number"),
        (figures.count(metric["baseline"]["n"]), "number soft"),
        (_rate(metric["canary"]), "number"),
        (figures.count(metric["canary"]["n"]), "number soft"),
        (figures.evidence(metric["against"]["value"]), _past(metric["against"], "bad")),
        (f"{metric['against']['bound']:g}", "number soft"),
        (figures.evidence(metric["for"]["value"]), _past(metric["for"], "good")),
        (f"{metric['for']['bound']:g}", "number soft"),
        ("" if needs is None else f"{figures.count(needs)} more", "number"),
    ]
    return "".join(f'<td class="{style}">{escape(text)}</td>' for text, style in cells)


def events(evidence: Json) -> str:
    """What a watcher saw, in order."""
    rows: list[tuple[str, str, str]] = [
        (figures.clock(event["at"]), str(event["step"] or ""), str(event["text"]))
        for event in evidence["events"]
    ]
    word = evidence["decision"]
    if word:
        said = f"{word.get('decision')} by {word.get('by')}: {word.get('reason')}"
        rows.append((figures.clock(word.get("at")), "operator", said))
    return _details("Events", ("Time", "Step", "What"), rows, "events")


def policy(evidence: Json) -> str:
    """The rules it was judged by."""
    rows = [
        (POLICY_WORDS.get(key, key), f"{value:g}" if isinstance(value, float) else str(value))
        for key, value in evidence["policy"].items()
    ]
    return _details("Policy", ("Rule", "Value"), rows, "policy")


def _details(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="words">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<details class="{style}"><summary>{escape(title)} ({len(rows)})</summary>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div></details>"
    )


def _past(evidence: Json, tone: str) -> str:
    return f"number past {tone}" if evidence["value"] >= evidence["bound"] else "number"


def _rate(arm: Json) -> str:
    return figures.percent(arm["value"])


def _name(metric: Json) -> str:
    return NAMES.get(metric["metric"], str(metric["metric"]))
