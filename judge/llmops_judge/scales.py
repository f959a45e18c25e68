"""How a metric's values are counted: in ordered cells, the same for both arms.

The judge never sees values, only how many fell into which cell. A cell is an interval that is open
below and closed above, as CloudWatch's trimmed count `TC(low:high)` is, so that one statistic reads
one cell:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

Scale = Literal["share", "ratio", "unit"]
"""share: 0 or 1. ratio: positive, compared by factors (milliseconds, tokens, micro-dollars).
unit: from 0 to 1, compared by differences."""

PER_OCTAVE = 4
"""Cells of a ratio scale per doubling: each is 19 % wide."""
SMALLEST, LARGEST = -40, 120
"""The lowest and highest cell of a ratio scale: 0.001 and 1.07e9; beyond them values are clipped.
Zero falls into the lowest."""
STEPS = 20
"""Cells of the unit scale: 1 to 20, each 0.05 wide; exactly 0 is cell 0."""


def cell(scale: Scale, value: float) -> int:
    """The cell a value falls into."""
    if scale == "share":
        return int(value > 0)
    if scale == "unit":
        return min(STEPS, max(0, math.ceil(value * STEPS - 1e-9)))
    if value <= 0:
        return SMALLEST
    return min(LARGEST, max(SMALLEST, math.ceil(PER_OCTAVE * math.log2(value) - 1e-9)))


def bounds(scale: Scale, cell: int) -> tuple[float, float]:
    """The interval (low, high] of a cell; the lowest begins at 0."""
    if scale == "share":
        return float(cell - 1), float(cell)
    if scale == "unit":
        return max(0.0, (cell - 1) / STEPS), cell / STEPS
    low = 0.0 if cell <= SMALLEST else 2 ** ((cell - 1) / PER_OCTAVE)
    return low, 2 ** (cell / PER_OCTAVE)


def middle(scale: Scale, cell: int) -> float:
    """What a value of the cell is taken for: the geometric middle of a ratio cell."""
    if scale == "share":
        return float(cell)
    low, high = bounds(scale, cell)
    if scale == "unit":
        return (low + high) / 2
    return 0.0 if cell <= SMALLEST else math.sqrt(low * high)


DECIMALS = 10
"""CloudWatch takes at most ten decimals in a bound."""
ENDS: Mapping[Scale, tuple[int, int]] = {
    "share": (0, 1),
    "ratio": (SMALLEST, LARGEST),
    "unit": (0, STEPS),
}
"""The lowest and the highest cell of a scale: they also hold what lies beyond."""


def trimmed(scale: Scale, cell: int) -> str:
    """The statistic by which CloudWatch counts the values of a cell: `TC(low:high)`."""
    first, last = ENDS[scale]
    low, high = bounds(scale, cell)
    below = "" if cell <= first else _decimal(low)
    above = "" if cell >= last else _decimal(high)
    return f"TC({below}:{above})"


def _decimal(bound: float) -> str:
    return f"{bound:.{DECIMALS}f}".rstrip("0").rstrip(".")
