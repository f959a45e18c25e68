"""When an alarm fires. Pure: data points and a setting in, a verdict out.

After AWS's "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data". Two more
points than the evaluation periods are looked at (the evaluation range; AWS does not say how many
more). If that range holds enough real points, the most recent ones decide and missing ones are
ignored; else missing points are filled in as the alarm says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .store import epoch_to_datetime

RANGE_EXTRA = 2
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"

_Compare = Callable[[float, float], bool]
OPERATORS: dict[str, tuple[_Compare, str]] = {
    "GreaterThanOrEqualToThreshold": (lambda v, t: v >= t, "greater than or equal to"),
    "GreaterThanThreshold": (lambda v, t: v > t, "greater than"),
    "LessThanThreshold": (lambda v, t: v < t, "less than"),
    "LessThanOrEqualToThreshold": (lambda v, t: v <= t, "less than or equal to"),
}
FILLED_AS = {"breaching": "[Breaching]", "notBreaching": "[NonBreaching]"}


@dataclass(frozen=True)
class Setting:
    """What decides a metric alarm; `needed` is DatapointsToAlarm."""

    operator: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        return OPERATORS[self.operator][0](value, self.threshold)


Point = tuple[int, float | None]
"""A period's beginning (epoch seconds) and its value, None if there is no data."""


@dataclass(frozen=True)
class Verdict:
    """A state and AWS's words for it; `points` are those that decided, newest first."""

    state: str
    reason: str
    points: tuple[tuple[int, float], ...] = ()


def decide(setting: Setting, points: Sequence[Point], current: str) -> Verdict | None:
    """The verdict over the evaluation range (oldest first); None keeps the current state."""
    real = [(begin, value) for begin, value in points if value is not None]
    if len(real) >= setting.periods:
        return _judged(setting, real[-setting.periods :], 0, current)
    filled = setting.periods - len(real)
    if setting.missing in FILLED_AS:
        return _judged(setting, real, filled, current)
    if not real:
        return None if setting.missing == "ignore" else _unknown(setting)
    return _with_gaps(setting, points, real, current)


def _judged(
    setting: Setting, real: Sequence[tuple[int, float]], filled: int, current: str
) -> Verdict:
    bad = [point for point in real if setting.breaches(point[1])]
    if len(bad) >= setting.needed:
        return Verdict(ALARM, _reason(setting, bad, ALARM, current), _newest(bad))
    if len(bad) + filled >= setting.needed and setting.missing == "breaching":
        return Verdict(ALARM, _filled_reason(setting, len(real), filled), _newest(real))
    if filled:
        return Verdict(OK, _filled_reason(setting, len(real), filled), _newest(real))
    good = [point for point in real if not setting.breaches(point[1])]
    return Verdict(OK, _reason(setting, good or real, OK, current), _newest(real))


def _with_gaps(
    setting: Setting, points: Sequence[Point], real: list[tuple[int, float]], current: str
) -> Verdict | None:
    """Fewer real points than periods, and missing ones say nothing.

    The alarm fires early if the oldest breaching point is old enough (`needed` periods) and nothing
    since then was good: AWS's rule against waiting for data that does not come.
    """
    bad = [point for point in real if setting.breaches(point[1])]
    if len(bad) < len(real):
        return _judged(setting, real, 0, current)
    age = len(points) - [begin for begin, _ in points].index(bad[0][0])
    if setting.missing == "missing" and age >= setting.needed:
        return Verdict(ALARM, _reason(setting, bad, ALARM, current), _newest(bad))
    return None


def _newest(points: Sequence[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple(reversed(points))


def _unknown(setting: Setting) -> Verdict:
    n = setting.periods
    count = "1 datapoint was" if n == 1 else f"{n} datapoints were"
    return Verdict(INSUFFICIENT_DATA, f"Insufficient Data: {count} unknown.")


def _reason(setting: Setting, shown: Sequence[tuple[int, float]], state: str, current: str) -> str:
    """`Threshold Crossed: 2 out of the last 3 datapoints [9.0 (...), ...] were greater ...`."""
    values = ", ".join(
        f"{value} ({epoch_to_datetime(begin):%d/%m/%y %H:%M:%S})" for begin, value in _newest(shown)
    )
    n, of = len(shown), setting.periods
    if of == 1:
        head, verb = "1 datapoint", "was"
    else:
        head, verb = f"{n} out of the last {of} datapoints", "was" if n == 1 else "were"
    negation = "" if state == ALARM else "not "
    words = OPERATORS[setting.operator][1]
    text = f"Threshold Crossed: {head} [{values}] {verb} {negation}{words} the threshold"
    text += f" ({float(setting.threshold)})"
    if of > 1:
        move = "OK -> ALARM" if state == ALARM or current == OK else "ALARM -> OK"
        least = setting.needed if move == "OK -> ALARM" else of - setting.needed + 1
        text += f" (minimum {least} datapoint{'' if least == 1 else 's'} for {move} transition)"
    return text + "."


def _filled_reason(setting: Setting, received: int, filled: int) -> str:
    if received == 0:
        came = "no datapoints were"
    else:
        came = "1 datapoint was" if received == 1 else f"{received} datapoints were"
    missing = "1 missing datapoint was" if filled == 1 else f"{filled} missing datapoints were"
    periods = f"{setting.periods} period" + ("" if setting.periods == 1 else "s")
    how = FILLED_AS[setting.missing]
    return f"Threshold Crossed: {came} received for {periods} and {missing} treated as {how}."
