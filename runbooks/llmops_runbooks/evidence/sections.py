"""The page's sections: the sentence first, then figures, charts, verdicts and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from llmops_runbooks.evidence import charts, figures, tables
from llmops_runbooks.evidence.moments import seconds

Json = Mapping[str, Any]

TONES = {"promoted": "good", "rolled back": "bad", "rollback failed": "bad", "stopped": "bad"}
DECIDERS = {
    "gate": "the gate",
    "operator": "an operator",
    "alarm": "an alarm",
    "engine": "ECS",
    None: "nobody yet",
}
SUMMARY_LABELS = {
    "requests_sent": "Requests sent",
    "requests_lost": "Requests lost",
    "requests_retried": "Requests retried",
    "bad_answers": "Bad answers served",
    "seconds_from_first_to_last_bad_answer": "First to last bad answer",
    "wall_seconds": "Took",
}


def headline(evidences: Sequence[Json], title: str, summary: Json | None) -> str:
    """The title, one line per rollout, and the summary's figures."""
    lines = " ".join(f"{_name(evidence)} {_ending(evidence)}." for evidence in evidences)
    lead = f'<p class="lead">{escape(lines)}</p>' if len(evidences) > 1 else ""
    return f"<header><h1>{escape(title)}</h1>{lead}{_summary(summary or {})}</header>"


def _summary(summary: Json) -> str:
    shown = [
        (label, _summary_value(key, summary[key]))
        for key, label in SUMMARY_LABELS.items()
        if summary.get(key) is not None
    ]
    failures = "".join(f"<li>{escape(str(each))}</li>" for each in summary.get("failures") or ())
    warning = f'<ul class="bad">{failures}</ul>' if failures else ""
    return _facts(shown) + warning if shown or failures else ""


def _summary_value(key: str, value: Any) -> str:
    return figures.duration(value) if "seconds" in key else figures.count(value)


def rollout(evidence: Json) -> str:
    """One rollout, whole."""
    tone = TONES.get(evidence["outcome"], "open")
    drawings = "".join(
        f"<figure><figcaption><h3>{escape(chart.title)}</h3><span>{escape(chart.note)}</span>"
        f"</figcaption>{drawing}</figure>"
        for chart, drawing in charts.draw(evidence)
    )
    parts = [
        '<section class="rollout">',
        f'<span class="badge {tone}">{escape(evidence["outcome"])}</span>',
        f"<h2>{escape(_name(evidence))} {escape(_ending(evidence))}</h2>",
        f"<p>{escape(evidence['reason'])}</p>",
        f'<p class="soft">{escape(_provenance(evidence))}</p>',
        _facts(_rollout_facts(evidence)),
        f'<div class="grid">{drawings}{tables.at_the_end(evidence)}</div>',
        tables.verdicts(evidence),
        tables.events(evidence),
        tables.policy(evidence),
        "</section>",
    ]
    return "\n".join(parts)


def _name(evidence: Json) -> str:
    side = evidence["canary"] or {}
    return str(side.get("release") or evidence["rollout"]["id"])


def _ending(evidence: Json) -> str:
    words = {
        "promoted": "was promoted by {}",
        "rolled back": "was rolled back by {}",
        "rollback failed": "could not be rolled back; {} had decided",
        "stopped": "was stopped by {}",
    }
    if evidence["outcome"] not in words:
        return "is under way"
    return words[evidence["outcome"]].format(DECIDERS[evidence["decided_by"]])


def _provenance(evidence: Json) -> str:
    about = evidence["rollout"]
    where = " in ".join(part for part in (about["service"], about["environment"]) if part)
    baseline = (evidence["baseline"] or {}).get("release") or "no release"
    parts = [
        where,
        f"against {baseline}",
        f"started {figures.day(about['started'])}",
        f"rollout {about['id']}",
    ]
    return " · ".join(part for part in parts if part)


def _rollout_facts(evidence: Json) -> list[tuple[str, str]]:
    verdict = evidence["verdict"] or {}
    requests = verdict.get("requests") or {}
    facts = [
        ("Canary weight", figures.percent(_canary_share(evidence), 0)),
        ("Judged in the canary", f"{figures.count(requests.get('canary'))} requests"),
        ("Judged in the baseline", f"{figures.count(requests.get('baseline'))} requests"),
        ("Start to decision", figures.duration(_until_decision(evidence))),
        ("Verdicts", figures.count(sum(1 for call in evidence["verdicts"] if call["verdict"]))),
    ]
    triggered = evidence["alarms"]["triggered"]
    return facts + ([("Alarms", ", ".join(triggered))] if triggered else [])


def _canary_share(evidence: Json) -> float | None:
    told = [call["weights"]["canary"] for call in evidence["verdicts"] if call["weights"]["canary"]]
    percent = told[0] if told else evidence["rollout"]["canary_percent"]
    return None if percent is None else percent / 100


def _until_decision(evidence: Json) -> float | None:
    started = evidence["rollout"]["started"]
    decided = [
        call["at"]
        for call in evidence["verdicts"]
        if call["weights"]["canary"] and call["hook_status"] != "IN_PROGRESS" and call["at"]
    ]
    return seconds(decided[-1]) - seconds(started) if started and decided else None


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in facts
    )
    return f'<dl class="facts">{cells}</dl>'
