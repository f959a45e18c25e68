"""Numbers as a reader wants them: the same words on the page and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_runbooks.moments import parse

UNKNOWN = "–"
MICRO = 1e6
"""Micro-dollars in a dollar."""


def percent(share: float | None, digits: int = 1) -> str:
    """0.061 -> 6.1 %."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


def count(number: float | None) -> str:
    """12345 -> 12,345."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def format_of(statistic: str, unit: str) -> str:
    """How a metric's values are written: percent, milliseconds, dollars, or plain."""
    if statistic == "share":
        return "percent"
    return {"ms": "milliseconds", "µ$": "dollars"}.get(unit, "plain")


def value(figure: float | None, *, statistic: str, unit: str = "") -> str:
    """A metric's figure: 6.1 %, 812 ms, $0.00112, 0.86."""
    if figure is None:
        return UNKNOWN
    kind = format_of(statistic, unit)
    if kind == "percent":
        return percent(figure)
    if kind == "milliseconds":
        return milliseconds(figure)
    if kind == "dollars":
        return dollars(figure)
    return f"{plain(figure)} {unit}".rstrip()


def milliseconds(figure: float) -> str:
    """812 ms; from ten seconds on 12.3 s."""
    return f"{figure / 1000:.1f} s" if figure >= 1e4 else f"{plain(figure)} ms"


def dollars(micro: float) -> str:
    """Micro-dollars in dollars with three meaningful digits: $0.00112, $12.40."""
    whole = micro / MICRO
    if whole == 0 or whole >= 1:
        return f"${whole:,.2f}"
    return f"${whole:.{2 - math.floor(math.log10(whole))}f}"


def plain(figure: float) -> str:
    """0.86, 41.2, 1,234."""
    return (
        f"{figure:.2f}" if figure < 10 else f"{figure:,.1f}" if figure < 100 else f"{figure:,.0f}"
    )


def arm(metric: Mapping[str, Any], name: str) -> str:
    """What an arm showed of a verdict's metric."""
    return value(metric[name]["value"], statistic=metric["statistic"], unit=metric["unit"])


def label(metric: Mapping[str, Any]) -> str:
    """A verdict's metric with its statistic, where that is not its name: `latency p95`."""
    name = title(metric["metric"])
    return f"{name} {metric['statistic']}" if metric["statistic"] == "p95" else name


def title(metric: str) -> str:
    """first_token -> first token."""
    return metric.replace("_", " ")


def evidence(value: float | None) -> str:
    """An e-value: as many digits as mean something."""
    if value is None:
        return UNKNOWN
    if value >= 1e6 or 0 < value < 1e-3:
        from llmops_judge.figures import power

        return power(value)
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.05 or value == 0 else f"{value:.2g}"


def against(side: Mapping[str, Any]) -> str:
    """Evidence and its bound: 0.2 of 100."""
    return f"{evidence(side['value'])} of {evidence(side['bound'])}"


def needs(metric: Mapping[str, Any]) -> str:
    """What is missing for a decision on a metric: ~600 requests, 1 min 10 s."""
    requests, minutes = metric.get("needs_requests"), metric.get("needs_minutes")
    if requests is None:
        return ""
    return f"~{requests:,} requests" + (f", {_about(minutes)}" if minutes else "")


def _about(minutes: float) -> str:
    """A forecast: no more exact than it can be."""
    return duration(60 * (minutes if minutes < 3 else round(minutes)))


def duration(seconds: float | None) -> str:
    """93 -> 1 min 33 s."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    shown = [f"{value} {unit}" for value, unit in parts if value]
    return " ".join(shown[:2]) or "0 s"


def stopwatch(seconds: float) -> str:
    """102 -> 1:42; 3723 -> 1:02:03."""
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{sign}{whole}:{rest:02}"


def clock(at: str | None) -> str:
    """The time of day, UTC."""
    return UNKNOWN if at is None else f"{parse(at):%H:%M:%S}"


def day(at: str | None) -> str:
    """The date and the time of day, UTC."""
    if at is None:
        return UNKNOWN
    moment = parse(at)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
