"""Numbers as a reader wants them."""

from __future__ import annotations

import math

from llmops_runbooks.evidence.moments import parse

UNKNOWN = "–"


def percent(share: float | None, digits: int = 1) -> str:
    """0.061 -> 6.1 %."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f} %"


def count(number: float | None) -> str:
    """12345 -> 12,345."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def evidence(value: float | None) -> str:
    """An e-value: as many digits as mean something."""
    if value is None:
        return UNKNOWN
    if value >= 1e6 or 0 < value < 1e-3:
        power = math.floor(math.log10(value))
        return f"{value / 10**power:.1f}·10{str(power).translate(SUPERSCRIPT)}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(value: float) -> str:
    """A tick of a logarithmic axis."""
    power = round(math.log10(value))
    return f"{value:,.4g}" if -3 <= power <= 3 else f"10{str(power).translate(SUPERSCRIPT)}"


def duration(seconds: float | None) -> str:
    """93 -> 1 min 33 s."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    shown = [f"{value} {unit}" for value, unit in parts if value]
    return " ".join(shown[:2]) or "0 s"


def clock(at: str | None) -> str:
    """The time of day, UTC."""
    return UNKNOWN if at is None else f"{parse(at):%H:%M:%S}"


def day(at: str | None) -> str:
    """The date and the time of day, UTC."""
    return UNKNOWN if at is None else f"{parse(at):%d %B %Y, %H:%M} UTC"
