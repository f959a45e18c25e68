"""What `llmops experiment` shows, in plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from llmops_cli.judge_tables import table_lines
from llmops_cli.render import plain
from llmops_runbooks import figures

if TYPE_CHECKING:
    from llmops_runbooks.experiment_report import Compared, Report

WORDS = {
    "winner": "winner",
    "alike": "no difference that matters",
    "undecided": "none yet",
    "no claim": "no claim",
}


def report(found: Report) -> list[str]:
    """The arms, the differences, and what follows."""
    return [
        f"experiment {found.experiment} of feature {found.feature}, decided by {found.metric}, "
        f"drawn by {found.unit} ({plain(found.source)})",
        "",
        *table_lines(list(_arms(found))),
        "",
        *(table_lines(list(_compared(found))) if found.compared else []),
        *([""] if found.compared else []),
        f"{WORDS[found.outcome]}: {found.why}{_needs(found)}",
        *(f"warning: {plain(each)}" for each in found.warnings),
    ]


def _arms(found: Report) -> Iterator[tuple[str, ...]]:
    metrics = sorted({name for arm in found.arms for name in arm.values})
    yield ("variant", "share", "requests", f"{found.unit}s", *metrics)
    for arm in found.arms:
        yield (
            arm.variant,
            figures.percent(arm.weight, 0),
            figures.count(arm.exposures),
            figures.count(arm.units) if arm.units else figures.UNKNOWN,
            *(_value(name, arm.values.get(name)) for name in metrics),
        )


def _compared(found: Report) -> Iterator[tuple[str, ...]]:
    yield ("metric", "variant", "against", "difference", "interval", "better")
    for each in found.compared:
        yield (
            each.metric,
            each.variant,
            each.against,
            _signed(each, each.difference),
            f"{_signed(each, each.low)} to {_signed(each, each.high)}",
            each.better or "-",
        )


def _needs(found: Report) -> str:
    if found.outcome != "undecided":
        return ""
    if found.needs_exposures is None:
        return " How many more requests it takes cannot be said."
    return f" About {found.needs_exposures:,} more requests."


FORMATS: dict[str, Callable[[float], str]] = {
    "errors": lambda value: figures.percent(value, 2),
    "latency": figures.milliseconds,
    "cost": figures.dollars,
}


def _value(metric: str, value: float | None) -> str:
    if value is None:
        return figures.UNKNOWN
    return FORMATS[metric](value) if metric in FORMATS else f"{value:.3f}"


def _signed(each: Compared, value: float) -> str:
    return ("+" if value >= 0 else "-") + _value(each.metric, abs(value))
