"""The page of a rehearsal of kinds: a line per kind, each leading to its rollout's evidence."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from llmops_runbooks.rehearse_all import AllReport, Ending

STYLE = """
:root { color-scheme: light dark; --faint: color-mix(in srgb, currentColor 20%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--faint);
  vertical-align: top }
td.number, th.number { text-align: right }
small { display: block; opacity: .75; max-width: 34rem }
.not { font-weight: 700 }
"""
HEADS = ("kind", "wanted", "outcome", "found out by", "requests", "minutes", "bad answers")
NUMBERS = frozenset({"requests", "minutes", "bad answers"})


def render(report: AllReport, *, title: str, folder: Path) -> str:
    """The page as HTML, to be written to `folder`; it loads nothing from anywhere."""
    heads = "".join(f"<th{_side(head)}>{head}</th>" for head in HEADS)
    rows = "\n".join(
        _row(ending, bad, folder)
        for ending, bad in zip(report.endings, report.bad_answers, strict=True)
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>
<h1>{escape(title)}</h1>
<p>{_headline(report)}</p>
{_failures(report.failures)}
<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>
{rows}
</tbody></table></div>
<p>Requests are those of both arms on which the decision rests; minutes are the cloud's, from the
first that was judged. All releases answer through one stand-in for a model provider.</p>
</main></body></html>
"""


def _headline(report: AllReport) -> str:
    word = "passed" if report.passed else "FAILED"
    releases = "release" if len(report.endings) == 1 else "releases"
    return (
        f"{word}: {len(report.endings)} {releases} in {report.wall_seconds:.0f} s, "
        f"{report.requests.sent:,} requests sent, {report.requests_lost} lost."
    )


def _failures(failures: Iterable[str]) -> str:
    items = "".join(f"<li class=not>{escape(text)}</li>" for text in failures)
    return f"<ul>{items}</ul>" if items else ""


def _row(ending: Ending, bad_answers: int, folder: Path) -> str:
    kind, rollout = ending.kind, ending.rollout
    outcome = escape(rollout.outcome.replace("_", " "))
    if rollout.evidence:
        link = Path(rollout.evidence).relative_to(folder).as_posix()
        outcome = f'<a href="{escape(link)}">{outcome}</a>'
    cells = (
        f"{kind.name}<small>{escape(kind.line)}</small>",
        kind.expected.replace("_", " "),
        f"{outcome}<small>{escape(rollout.reason)}</small>",
        escape(ending.metric or "-"),
        "-" if ending.requests is None else f"{ending.requests:,}",
        "-" if ending.minutes is None else f"{ending.minutes:g}",
        f"{bad_answers:,}",
    )
    named = zip(HEADS, cells, strict=True)
    return f"<tr>{''.join(f'<td{_side(head)}>{cell}</td>' for head, cell in named)}</tr>"


def _side(head: str) -> str:
    return " class=number" if head in NUMBERS else ""
