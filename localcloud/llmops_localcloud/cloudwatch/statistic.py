"""The names of statistics: which the local cloud computes, and how they are written.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

SIMPLE = ("Average", "Sum", "SampleCount", "Minimum", "Maximum")
_PERCENTILE = re.compile(r"p(100(\.0+)?|\d{1,2}(\.\d{1,10})?)")
_BOUND = r"(\d+(?:\.\d{1,10})?)?"
_RANGE = re.compile(rf"(TC|PR)\({_BOUND}:{_BOUND}\)")
"""Absolute bounds only: at most ten decimals (as AWS), no percentages."""


@dataclass(frozen=True)
class Range:
    """How many (TC), or what percentage (PR), of the values lie above `low` and up to `high`."""

    kind: str
    low: float
    high: float


def known(name: str) -> bool:
    """Whether the statistic is computed here."""
    return name in SIMPLE or bool(_PERCENTILE.fullmatch(name)) or range_of(name) is not None


@lru_cache(maxsize=4096)
def range_of(name: str) -> Range | None:
    """`TC(low:high)`, `TC(:high)`, `TC(low:)` and the same of PR; None for anything else."""
    found = _RANGE.fullmatch(name)
    if not found or not (found[2] or found[3]):
        return None
    low = float(found[2]) if found[2] else -math.inf
    high = float(found[3]) if found[3] else math.inf
    return Range(found[1], low, high) if low < high else None
