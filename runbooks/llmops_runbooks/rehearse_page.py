"""The page of a rehearsal of kinds: a line per kind, each leading to its rollout's evidence."""

from __future__ import annotations

from pathlib import Path

from llmops_runbooks import figures
from llmops_runbooks.evidence.html import Html, element, join, table
from llmops_runbooks.evidence.page import frame
from llmops_runbooks.rehearse_all import AllReport, Ending

HEADS = ("Kind", "Wanted", "Outcome", "Found by", "Requests", "Minutes", "Bad answers")
NUMBERS = (4, 5, 6)
TONES = {"promoted": "good", "rolled_back": "bad"}
FOOTER = (
    "Requests are those of both arms on which the decision rests; minutes are the cloud's, from "
    "the first that was judged. All releases answer through one stand-in for a model provider."
)


def render(report: AllReport, *, title: str, folder: Path) -> str:
    """The page as HTML, to be written to `folder`; it loads nothing from anywhere."""
    rows = [
        _row(ending, bad, folder)
        for ending, bad in zip(report.endings, report.bad_answers, strict=True)
    ]
    failures = [element("li", text) for text in report.failures]
    return frame(
        title,
        element("header", element("h1", title), _headline(report), _facts(report), class_="alone"),
        element("ul", *failures, class_="failures") if failures else Html(),
        element("section", table(HEADS, rows, numbers=NUMBERS)),
        element("footer", FOOTER),
    )


def _headline(report: AllReport) -> Html:
    count = len(report.endings)
    releases = "release" if count == 1 else "releases"
    ended = "ended as it should" if count == 1 else "each ended as it should"
    said = f"{count} {releases}, {ended}" if report.passed else f"{count} {releases}: not as wanted"
    word, tone = ("passed", "good") if report.passed else ("failed", "bad")
    return join([element("span", word, class_=f"badge {tone}"), element("h2", f"{said}.")])


def _facts(report: AllReport) -> Html:
    shown = (
        ("Took", figures.duration(report.wall_seconds)),
        ("Requests sent", figures.count(report.requests.sent)),
        ("Requests lost", figures.count(report.requests_lost)),
    )
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in shown)
    return element("dl", *pairs, class_="facts")


def _row(ending: Ending, bad_answers: int, folder: Path) -> tuple[object, ...]:
    kind, rollout = ending.kind, ending.rollout
    name: object = element("b", kind.name)
    if rollout.evidence:
        link = Path(rollout.evidence).relative_to(folder).as_posix()
        name = element("a", name, href=link)
    tone = TONES.get(rollout.outcome, "open")
    outcome = element("span", _words(rollout.outcome), class_=f"badge {tone}")
    return (
        join([name, element("small", kind.line)]),
        _words(kind.expected),
        join([outcome, element("small", rollout.reason)]),
        ending.metric or "-",
        "-" if ending.requests is None else f"{ending.requests:,}",
        "-" if ending.minutes is None else f"{ending.minutes:g}",
        f"{bad_answers:,}",
    )


def _words(outcome: str) -> str:
    return outcome.replace("_", " ")
