"""Sums of wealth kept as logarithms, so that neither 1e-300 nor 1e300 is lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def total(logs: Sequence[float]) -> float:
    """Logarithm of the sum of wealths given by their logarithms."""
    highest = max(logs)
    if highest == -math.inf:
        return highest
    return highest + math.log(sum(math.exp(log - highest) for log in logs))


def mean(logs: Sequence[float]) -> float:
    """Logarithm of the average of wealths given by their logarithms."""
    return total(logs) - math.log(len(logs))


def value(log: float) -> float:
    """The wealth itself, to four digits, capped at 1e300."""
    return float(f"{math.exp(min(log, 690.0)):.4g}")


def stored(logs: Iterable[float]) -> list[float]:
    """The logarithms as a state keeps them: four decimals, rounded down, so that nothing is won."""
    return [short(log) for log in logs]


def short(log: float) -> float:
    """One of them."""
    return math.floor(log * 1e4) / 1e4
