"""What the operator sees: a line per change, the judge's table, live on a terminal; or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, Any

from llmops_runbooks.narration import Event, Mark

STEP_WIDTH = 13
DECISION = "decision"
SHARES = {"errors": "errors", "quality": "poor answers"}
"""Metrics whose value is a share of the requests, and what it is a share of."""


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
            self.line(text_of(replace(event, text=in_short(event.verdict))))
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


def text_of(event: Event) -> str:
    """`✓ preflight    no rollout under way`"""
    return f"{event.mark} {event.step:<{STEP_WIDTH}}{event.text}"


def in_short(verdict: Mapping[str, Any]) -> str:
    """`105 requests · errors 0.0 % (baseline 0.0 %), 0.8 of 100 against · ...`"""
    if not verdict["requests"]["canary"]:
        return "live, no whole minute to judge yet"
    parts = [f"{verdict['requests']['canary']:,} requests"]
    for metric in verdict.get("metrics", ()):
        name = str(metric["metric"])
        canary, baseline = (_value(name, metric[arm]) for arm in ("canary", "baseline"))
        evidence = _evidence(metric.get("against"))
        parts.append(f"{SHARES.get(name, name)} {canary} (baseline {baseline}), {evidence} against")
    return " · ".join(parts)


def rows_of(verdict: Mapping[str, Any] | None) -> list[str]:
    """The judge's table: a heading and a row per metric, in plain text."""
    if not verdict or not verdict.get("metrics"):
        return []
    heads = ("metric", "baseline", "canary", "evidence against", "needs")
    rows = [heads, *(_row(metric) for metric in verdict["metrics"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return ["    " + _aligned(row, widths) for row in rows]


def _row(metric: Mapping[str, Any]) -> tuple[str, ...]:
    name = str(metric["metric"])
    return (
        SHARES.get(name, name),
        _value(name, metric["baseline"]),
        _value(name, metric["canary"]),
        _evidence(metric.get("against")),
        _needs(metric),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0])]
    cells += [text.rjust(width) for text, width in zip(row[1:-1], widths[1:-1], strict=True)]
    return "   ".join([*cells, row[-1]]).rstrip()


def _value(metric: str, arm: Mapping[str, Any]) -> str:
    value = arm.get("value")
    if value is None:
        return "no data"
    return f"{100 * value:.1f} %" if metric in SHARES else f"{value:.2f}"


def _evidence(against: Mapping[str, Any] | None) -> str:
    if not against or against.get("value") is None:
        return "-"
    return f"{against['value']:.1f} of {against['bound']:.0f}"


def _needs(metric: Mapping[str, Any]) -> str:
    requests, minutes = metric.get("needs_requests"), metric.get("needs_minutes")
    if requests is None:
        return "-"
    return f"~{requests:,} requests" + (f", {minutes:.1f} min" if minutes is not None else "")


def _live(out: IO[str]) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(file=out), refresh_per_second=4, transient=True)


def _panel(event: Event) -> Any:
    from rich.text import Text

    return Text("\n".join([text_of(event), *rows_of(event.verdict)]))
