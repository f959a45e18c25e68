"""How numbers are written in the judge's sentences."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_judge.policy import Metric
from llmops_judge.verdict import ArmFigures

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TIMES = {"ms", "s", "µs"}
"""Units of which more is slower."""


def percent(share: float | None) -> str:
    """A share of 0 to 1 in per cent, to a tenth."""
    return "unknown" if share is None else f"{100 * share:.1f} %"


def number(value: float) -> str:
    """An evidence or a bound: two digits below ten, else whole; from a million, as a power."""
    if value >= 1e6:
        return power(value)
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def power(value: float) -> str:
    """A number above zero as a power of ten: 1.1·10¹⁰."""
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPT)}"


def amount(metric: Metric, value: float | None) -> str:
    """A value of the metric in its unit, to three digits."""
    if value is None:
        return "unknown"
    if metric.scale == "share":
        return percent(value)
    if metric.scale == "unit":
        return f"{value:.3f}"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {metric.unit}".rstrip()


def name(metric: Metric) -> str:
    """The metric's name in a sentence, with its statistic if that is not a share."""
    words = metric.name.replace("_", " ")
    return words if metric.statistic == "share" else f"{words} {metric.statistic}"


def arms(metric: Metric, baseline: ArmFigures, canary: ArmFigures) -> str:
    """Both arms' figures of a metric."""
    return (
        f"{name(metric)} {amount(metric, canary.value)} of {canary.n:,} in the canary, "
        f"{amount(metric, baseline.value)} of {baseline.n:,} in the baseline"
    )


def margin(metric: Metric) -> str:
    """The margin in the metric's own terms: `latency less than 25 % slower`."""
    words = metric.name.replace("_", " ")
    return f"{words} less than {_distance(metric)}"


def duration(minutes: float) -> str:
    """Minutes, or hours from an hour and a half on."""
    if minutes >= 90:
        return f"{minutes / 60:,.1f} hours"
    return "1 minute" if round(minutes) <= 1 else f"{minutes:,.0f} minutes"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _distance(metric: Metric) -> str:
    lower = metric.direction == "lower"
    if metric.scale == "share":
        return f"{100 * metric.margin:g} points {'more' if lower else 'fewer'}"
    if metric.scale == "unit":
        return f"{metric.margin:g} {'higher' if lower else 'lower'}"
    if not lower:
        return f"{100 * (1 - 1 / metric.margin):.3g} % lower"
    word = "slower" if metric.unit in TIMES else "higher"
    return f"{100 * (metric.margin - 1):.3g} % {word}"
