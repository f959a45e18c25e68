"""What the operator sees: a line per change, the judge's table, live on a terminal; or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, Any

from llmops_runbooks import figures
from llmops_runbooks.narration import Event, Mark

STEP_WIDTH = 13
INDENT = "    "
DECISION = "decision"
NOTHING = "no data"


class Screen:
    """Where a command writes: text to stdout, or, with --json, progress to stderr.

    On a terminal the newest verdict stays as a table under the lines; elsewhere it is one line.
    """

    def __init__(self, *, in_json: bool = False) -> None:
        self.in_json = in_json
        self._out: IO[str] = sys.stderr if in_json else sys.stdout
        self._live: Any = None

    def __enter__(self) -> Screen:
        if self._out.isatty():
            self._live = _live(self._out)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, event: Event) -> None:
        """Shows one event; the port of the runbooks. A decision's table stays."""
        if self._live is not None and event.verdict and event.step != DECISION:
            self._live.update(_panel(event), refresh=True)
            return
        if event.verdict and event.mark is Mark.NOW:
            self.line(text_of(replace(event, text=in_short(event))))
            return
        for text in (text_of(event), *rows_of(event.verdict)):
            self.line(text)

    def line(self, text: str) -> None:
        """One line of text, above whatever is live."""
        if self._live is not None:
            self._live.update("", refresh=True)
            self._live.console.print(text, markup=False, highlight=False)
            return
        self._out.write(f"{text}\n")
        self._out.flush()

    def finish(self, value: Mapping[str, Any], text: Sequence[str] = ()) -> None:
        """The command's answer: the JSON object, or its lines."""
        if self.in_json:
            sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        for line in () if self.in_json else text:
            self.line(line)


def plain(text: object) -> str:
    """A text without characters that steer a terminal: answers of a model may hold any."""
    return "".join(each if each.isprintable() else " " for each in str(text))


def text_of(event: Event) -> str:
    """`✓ preflight    no rollout under way`"""
    return f"{event.mark} {event.step:<{STEP_WIDTH}}{event.text}"


def in_short(event: Event) -> str:
    """`105 requests · 0:42 · errors 0.0 % (baseline 0.0 %), 0.8 of 100 · ...`: who decides."""
    verdict = event.verdict or {}
    if not verdict["requests"]["canary"]:
        return "live, no whole minute to judge yet"
    parts = [event.text]
    for metric in verdict["metrics"]:
        if metric["mode"] == "rollback":
            canary, baseline = (_shown(metric, arm) for arm in ("canary", "baseline"))
            evidence = figures.against(metric["against"])
            parts.append(f"{figures.label(metric)} {canary} (baseline {baseline}), {evidence}")
    return " · ".join(parts)


SAYS = {"observe": "only shown", "warn": "only warns", "pause": "holds for a person"}
"""What the evidence of a metric does that does not gate."""


def rows_of(verdict: Mapping[str, Any] | None) -> list[str]:
    """The judge's table while a canary runs: what is seen, and what is still needed.

    Metrics that have no say are left out until their evidence passes its bound.
    """
    if not verdict or not verdict.get("metrics"):
        return []
    heads = ("metric", "baseline", "canary", "evidence against", "needs")
    rows = [
        (
            figures.label(metric),
            _shown(metric, "baseline"),
            _shown(metric, "canary"),
            figures.against(metric["against"]),
            SAYS.get(metric["mode"]) or figures.needs(metric) or "-",
        )
        for metric in verdict["metrics"]
        if _speaks(metric)
    ]
    return aligned([heads, *rows])


def rows_of_verdict(verdict: Mapping[str, Any]) -> list[str]:
    """The judge's table at the end: every metric, with the evidence both ways."""
    family = verdict["family"]
    sides = [
        side for metric in verdict["metrics"][:1] for side in (metric["against"], metric["for"])
    ]
    bounds = [f" of {figures.evidence(side['bound'])}" for side in sides] or ["", ""]
    heads = ("metric", "mode", "baseline", "canary", f"worse{bounds[0]}", f"harmless{bounds[1]}")
    rows = [
        (
            figures.label(metric),
            metric["mode"],
            _shown(metric, "baseline"),
            _shown(metric, "canary"),
            figures.evidence(metric["against"]["value"]),
            figures.evidence(metric["for"]["value"]),
        )
        for metric in verdict["metrics"]
    ]
    together = ("all together", "", "", "", figures.evidence(family["value"]), "")
    return aligned([heads, *rows, together], left=2)


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """A table in plain text: `left` columns of words first, numbers after, words in the last."""
    last = len(rows[0]) - 1 if left == 1 else len(rows[0])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        INDENT
        + "  ".join(
            text.rjust(width) if left <= column < last else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _speaks(metric: Mapping[str, Any]) -> bool:
    past = bool(metric["against"]["value"] >= metric["against"]["bound"])
    return metric["mode"] == "rollback" or past


def _shown(metric: Mapping[str, Any], arm: str) -> str:
    return NOTHING if metric[arm]["value"] is None else figures.arm(metric, arm)


def _live(out: IO[str]) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(file=out), refresh_per_second=4, transient=True)


def _panel(event: Event) -> Any:
    from rich.text import Text

    verdict = event.verdict or {}
    waits = [INDENT + verdict["reason"]] if verdict.get("decision") == "wait" else []
    return Text("\n".join([text_of(event), *rows_of(verdict), *waits]))
