"""The page's parts, top to bottom: the sentence, who and when, then what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmops_judge.policy import Metric
from llmops_runbooks import figures
from llmops_runbooks.evidence import golden, series, tables, view
from llmops_runbooks.evidence.html import Html, details, element, join, table
from llmops_runbooks.evidence.sentence import decider, name, until_decision

Json = Mapping[str, Any]

TONES = {"promoted": "good", "rolled_back": "bad", "rollback_failed": "bad", "stopped": "bad"}
SUMMARY_LABELS = {
    "requests_sent": "Requests sent",
    "requests_lost": "Requests lost",
    "requests_retried": "Requests retried",
    "bad_answers": "Bad answers served",
    "seconds_from_first_to_last_bad_answer": "First to last bad answer",
    "wall_seconds": "Took",
}


def headline(evidences: Sequence[Json], title: str, summary: Json | None) -> Html:
    """The title, a line per rollout if there are several, and the summary's figures."""
    several = len(evidences) > 1
    overview = _overview(evidences) if several else None
    parts = (element("h1", title), _summary(summary or {}), overview)
    return element("header", *parts, class_=None if several else "alone")


def _summary(summary: Json) -> Html:
    shown = [
        (label, _summary_value(key, summary[key]))
        for key, label in SUMMARY_LABELS.items()
        if summary.get(key) is not None
    ]
    failures = [element("li", failure) for failure in summary.get("failures") or ()]
    return join(
        [
            _facts(shown) if shown else None,
            element("ul", *failures, class_="failures") if failures else None,
        ]
    )


def _summary_value(key: str, value: Any) -> str:
    return figures.duration(value) if "seconds" in key else figures.count(value)


def _overview(evidences: Sequence[Json]) -> Html:
    rows = [
        (
            badge(evidence),
            element("a", element("b", name(evidence)), href=f"#rollout-{number}"),
            figures.duration(until_decision(evidence)),
            evidence["sentence"],
        )
        for number, evidence in enumerate(evidences, 1)
    ]
    return table(("", "Release", "Decided after", "Verdict"), rows)


def badge(evidence: Json) -> Html:
    """The outcome, in a word and a colour."""
    words = "waiting for a person" if evidence["held"] else evidence["outcome"].replace("_", " ")
    words = "under way" if words == "waiting" else words
    return element("span", words, class_=f"badge {TONES.get(evidence['outcome'], 'open')}")


def rollout(evidence: Json, number: int) -> Html:
    """One rollout, whole. Its charts are drawn by the page's script from the data at its end."""
    metrics = series.seen(evidence)
    panels = view.arms(evidence, metrics)
    growth = [view.growth(evidence, side) for side in ("against", "for")]
    traffic = view.traffic(evidence)
    drawn = [panel for panel in (traffic, *panels, *growth) if panel]
    deciding = sum(metric.gates for metric in metrics)
    return element(
        "article",
        badge(evidence),
        element("h2", evidence["sentence"]),
        element("p", provenance(evidence), class_="soft"),
        _facts(_rollout_facts(evidence)),
        golden.section(evidence["golden"]),
        _traffic(traffic),
        _arms(evidence, metrics[:deciding], panels[:deciding]),
        _watched(evidence, metrics[deciding:], panels[deciding:]),
        _growth(growth),
        _events(evidence),
        _part("Guards that fired", tables.guards(evidence)),
        _part("The last verdict", tables.verdict(evidence)),
        _part("What other rules would have decided on the same minutes", _peers(evidence)),
        _part("Scoring", tables.spend(evidence)),
        tables.policy(evidence),
        _replay(evidence),
        _data(evidence, drawn),
        class_="rollout",
        id=f"rollout-{number}",
    )


def provenance(evidence: Json) -> str:
    """Where, against what, since when."""
    where = " in ".join(
        str(part) for part in (evidence["service"], evidence["environment"]) if part
    )
    baseline = (evidence["baseline"] or {}).get("release")
    about = evidence["deployment"]
    parts = [
        where,
        f"{name(evidence)} against {baseline}" if baseline else "the first release",
        f"started {figures.day(about['started'])}" if about["started"] else "",
        f"rollout {about['id']}",
    ]
    return " · ".join(part for part in parts if part)


def _rollout_facts(evidence: Json) -> list[tuple[str, str]]:
    verdict = evidence["verdict"] or {}
    requests = verdict.get("requests") or {}
    found = evidence["golden"]
    about = evidence["deployment"]
    share = evidence["weight"]
    if share is None and about["canary_percent"] is not None:
        share = about["canary_percent"] / 100
    facts = [
        ("Decided by", decider(evidence)) if evidence["decided_by"] else None,
        ("Start to decision", figures.duration(until_decision(evidence))),
        ("Canary weight", figures.percent(share, 0)) if share is not None else None,
        ("Requests judged", _requests(requests)) if requests else None,
        ("Golden set", golden.facts(found)) if found else None,
    ]
    return [fact for fact in facts if fact]


def _requests(requests: Json) -> str:
    canary, baseline = (figures.count(requests[arm]) for arm in ("canary", "baseline"))
    return f"{canary} canary · {baseline} baseline"


def _facts(facts: Sequence[tuple[str, str]]) -> Html:
    return element(
        "dl",
        *(element("div", element("dt", label), element("dd", value)) for label, value in facts),
        class_="facts",
    )


def _part(title: str, *content: object) -> Html:
    return element("section", element("h3", title), *content)


def _traffic(traffic: view.Panel | None) -> Html:
    if traffic is None:
        return Html()
    keys = (
        _key("set", "weight that was set"),
        _key("served", "share that was served, each minute"),
        element("span", "numbers: events, told below", class_="key"),
    )
    return element("section", _figure("traffic", "Traffic to the canary", join(keys, " ")))


def _events(evidence: Json) -> Html:
    return _part("What happened", tables.timeline(evidence)) if evidence["events"] else Html()


def _arms(evidence: Json, metrics: Sequence[Metric], panels: Sequence[view.Panel]) -> Html:
    if not panels:
        return Html()
    keys = join([_key("baseline", "baseline"), _key("canary", "canary")], " ")
    note = element("p", keys, " each minute with its 95 % interval", class_="soft keys")
    return _part("The metrics that decide", note, _grid(evidence, metrics, panels))


def _watched(evidence: Json, metrics: Sequence[Metric], panels: Sequence[view.Panel]) -> Html:
    """The metrics that only warn, hold or are looked at: folded, unless one of them spoke."""
    if not panels:
        return Html()
    last = evidence["verdict"] or {}
    spoke = bool(last.get("warnings") or last.get("hold"))
    names = ", ".join(figures.title(metric.name) for metric in metrics)
    title = element("span", "Watched, without a say: ", element("small", names))
    return details(title, _grid(evidence, metrics, panels), open_=spoke)


def _grid(evidence: Json, metrics: Sequence[Metric], panels: Sequence[view.Panel]) -> Html:
    verdicts = (evidence["verdict"] or {}).get("metrics") or ()
    by_name = {each["metric"]: each for each in verdicts}
    drawn = [
        _figure(panel.id, _metric_title(metric), _both(by_name.get(metric.name)))
        for metric, panel in zip(metrics, panels, strict=True)
    ]
    return element("div", *drawn, class_="grid")


def _metric_title(metric: Metric) -> str:
    name = figures.title(metric.name).capitalize()
    return f"{name}, 95th percentile" if metric.statistic == "p95" else name


def _both(verdict: Json | None) -> Html:
    """Both arms over all judged minutes, beside the title."""
    if verdict is None:
        return Html()
    return join(
        [
            element("b", figures.arm(verdict, "baseline"), class_="baseline"),
            element("b", figures.arm(verdict, "canary"), class_="canary"),
        ],
        " → ",
    )


def _growth(panels: Sequence[view.Panel | None]) -> Html:
    titles = ("Evidence that it is worse", "Evidence that it is harmless")
    notes = ("rolls back when all together reach it", "promotes when all that decide are past it")
    drawn = [
        _figure(panel.id, title, note, _legend(panel))
        for panel, title, note in zip(panels, titles, notes, strict=True)
        if panel
    ]
    return element("section", element("div", *drawn, class_="grid")) if drawn else Html()


def _legend(panel: view.Panel) -> Html:
    """The lines by name with where they ended: no label inside the chart.

    Those that decide come first, the strongest of them before the others.
    """
    lines = sorted(panel.data["lines"], key=_rank)
    items = [
        element(
            "li",
            _key(
                line["colour"],
                "all together" if line["name"] == series.FAMILY else figures.title(line["name"]),
            ),
            element(
                "span", figures.against({"value": line["points"][-1]["v"], "bound": line["bound"]})
            ),
            class_="past" if line["points"][-1]["v"] >= line["bound"] else None,
        )
        for line in lines
    ]
    return element("ul", *items, class_="legend")


def _rank(line: Json) -> tuple[bool, float]:
    return line["colour"] == "watched", -line["points"][-1]["v"]


def _figure(chart: str, title: str, note: object, *after: object) -> Html:
    return element(
        "figure",
        element("figcaption", element("h4", title), element("span", note)),
        element("div", data_chart=chart, class_="chart"),
        *after,
    )


def _key(colour: str, text: str) -> Html:
    return element("span", element("i", class_=f"swatch {colour}"), text, class_="key")


def _peers(evidence: Json) -> Html:
    if not evidence["peers"]:
        return element("p", "No minute was judged, so there is nothing to compare.", class_="soft")
    ours = evidence["decided_by"] == "gate"
    rows = [_ours(evidence)] if ours else []
    for peer in evidence["peers"]:
        when = f"after {peer['minute']} min" if peer["minute"] else figures.UNKNOWN
        rule = element("small", peer["rule"])
        rows.append(
            (element("b", peer["peer"]), peer["decision"], when, join([peer["reason"], rule]))
        )
    return table(("Rule", "Would have", "When", "Why"), rows)


def _ours(evidence: Json) -> tuple[object, ...]:
    judged = [call for call in evidence["calls"] if call["verdict"]]
    elapsed = judged[-1]["elapsed_minutes"] if judged else None
    when = f"after {elapsed:g} min" if elapsed is not None else figures.UNKNOWN
    verdict = evidence["verdict"] or {"decision": figures.UNKNOWN, "reason": ""}
    return (element("b", "This judge"), verdict["decision"], when, verdict["reason"])


def _replay(evidence: Json) -> Html:
    if not evidence["verdict"]:
        return Html()
    command = element("code", "llmops judge replay evidence.json")
    words = " works every verdict out again from the minutes above, without AWS."
    return element("p", command, words, class_="replay")


def _data(evidence: Json, panels: Sequence[view.Panel]) -> Html:
    """What the script draws. `<` is written as JSON's escape, so that no text ends the element."""
    told = {**view.axis(evidence), "charts": {panel.id: panel.data for panel in panels}}
    text = json.dumps(told, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Html(f'<script type="application/json" class="data">{text}</script>')
