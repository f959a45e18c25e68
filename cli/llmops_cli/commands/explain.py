"""`llmops explain ROLLOUT`"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_cli import options
from llmops_cli.render import Screen, plain, rows_of, rows_of_verdict
from llmops_runbooks import figures
from llmops_runbooks.evidence import golden
from llmops_runbooks.evidence.events import guards
from llmops_runbooks.evidence.tables import GUARDS, since, stretch

if TYPE_CHECKING:
    from llmops_runbooks.explain import Explanation

WIDTH = 80
FLIPS = 3
"""Golden flips that are shown; the page has them all."""
Json = Mapping[str, Any]
Bold = Callable[[str], str]

Rollout = Annotated[
    str,
    typer.Argument(
        help="A rollout (id or ARN), a release or version (its last rollout), `latest`, "
        "or the path of an evidence.json.",
        metavar="ROLLOUT",
    ),
]


def explain(
    rollout: Rollout = "latest", env: options.Env = None, json: options.Json = False
) -> None:
    """Why a rollout ended as it did: the verdict, what happened, and what it rests on.

    Says in the terminal what the evidence page shows, and lays that page beside it. Given a path,
    it reads the file and asks no cloud.
    """
    screen = Screen(in_json=json)
    found = _found(rollout, env)
    styled = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    bold = (lambda text: typer.style(text, bold=True)) if styled else str
    screen.finish(found.to_json(), lines(found, bold))


def _found(rollout: str, env: str | None) -> Explanation:
    from llmops_runbooks.explain import explain as run
    from llmops_runbooks.explain import explain_file

    if rollout.endswith(".json") or Path(rollout).is_file():
        return explain_file(Path(rollout))
    settings = options.environment(env)
    from llmops_runbooks.aws.connect import connect

    return run(connect(settings), rollout, folder=options.evidence_folder())


def lines(found: Explanation, bold: Bold = str) -> list[str]:
    """The explanation in text, 80 columns wide."""
    evidence = found.evidence
    parts: list[tuple[str, list[str]]] = [
        ("What happened", list(_timeline(evidence))),
        ("Golden set", list(_golden(evidence["golden"]))),
        ("Last verdict", _verdict(evidence)),
        ("Guards that fired", list(_guards(evidence))),
        ("What other rules would have decided on the same minutes", list(_peers(evidence))),
    ]
    told = [*map(bold, wrapped(evidence["sentence"])), *wrapped(_about(evidence))]
    for title, body in parts:
        if body:
            told += ["", bold(title), *body]
    return [*told, "", *_where(found)]


def wrapped(text: object, first: str = "", rest: str | None = None) -> list[str]:
    """A text in lines of the terminal's width; without anything that could steer a terminal."""
    rest = " " * len(first) if rest is None else rest
    return textwrap.wrap(
        plain(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _about(evidence: Json) -> str:
    from llmops_runbooks.evidence.sections import provenance

    requests = (evidence["verdict"] or {}).get("requests")
    judged = (
        f" · judged {requests['canary']:,} requests of the canary, {requests['baseline']:,} of "
        "the baseline"
        if requests
        else ""
    )
    weight = evidence["weight"]
    share = f" · canary weight {figures.percent(weight, 0)}" if weight is not None else ""
    return f"{provenance(evidence)}{share}{judged}"


def _timeline(evidence: Json) -> Iterator[str]:
    for event in evidence["events"]:
        passed = since(event["at"], evidence["deployment"]["started"])
        when = f"{figures.clock(event['at'])} {passed:>8}"
        by = textwrap.shorten(plain(event["by"]), 12, placeholder="…")
        yield from wrapped(event["text"], f"  {when}  {by:<9} ")


def _golden(found: Json | None) -> Iterator[str]:
    if not found:
        return
    yield from wrapped(golden.score(found), "  ")
    flips = golden.worst_first(found["flips"])
    for flip in flips[:FLIPS]:
        word = "got worse" if golden.got_worse(flip) else "got better"
        yield from wrapped(flip["question"], f"  {word:<10}  ")
        yield from wrapped(flip["expected"], "    expected  ")
        for arm in ("baseline", "canary"):
            mark = "✓" if flip[arm]["passed"] else "✗"
            yield from wrapped(flip[arm]["answer"] or "(empty)", f"  {mark} {arm:<8}  ")
    if len(flips) > FLIPS:
        yield f"  and {len(flips) - FLIPS} more on the page"


def _verdict(evidence: Json) -> list[str]:
    """Under way what is still needed counts; at the end, what was shown."""
    last = evidence["verdict"]
    if last is None:
        return []
    rows = rows_of(last) if evidence["outcome"] == "waiting" else rows_of_verdict(last)
    warnings = [line for text in last["warnings"] for line in wrapped(text, "  ! ")]
    return [*(f"  {row.strip()}" if row.startswith("    ") else row for row in rows), *warnings]


def _guards(evidence: Json) -> Iterator[str]:
    for guard in guards(evidence["calls"]):
        name = GUARDS.get(guard["guard"], guard["guard"])
        yield from wrapped(f"{name}, {stretch(guard)}: {guard['text']}", "  ", "    ")


def _peers(evidence: Json) -> Iterator[str]:
    for peer in evidence["peers"]:
        when = f"after {peer['minute']} min" if peer["minute"] else "-"
        yield from wrapped(
            peer["reason"], f"  {peer['peer']:<16}  {peer['decision']:<11}  {when:<12}  "
        )


def _where(found: Explanation) -> Sequence[str]:
    told = [f"page:   {found.page}"] if found.page else []
    return [*told, *([f"replay: {found.replay}"] if found.replay else [])]
