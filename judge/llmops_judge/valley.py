"""Where the past falls into two modes: cache hits and misses, good answers and bad ones."""

from __future__ import annotations

import math

from llmops_judge.ranks import Ranks

CLEAR = 0.6
"""A valley is at most this part of the lower of its two peaks,"""
SURE = 2.5
"""so many standard errors below it,"""
FEWEST = 100
"""in a past of at least so many outcomes,"""
BETTER, WORSE = 0.10, 0.02
"""of which at least so much is on its better and on its worse side."""


def worse_mode(ranks: Ranks) -> float | None:
    """The share of past outcomes beyond the deepest valley; None: there is no clear one."""
    if ranks.size < FEWEST:
        return None
    counts = _smooth(ranks)
    peaks = zip(_before(counts), reversed(_before(counts[::-1])), strict=True)
    beyond = ranks.size
    found = (CLEAR, 0.0)
    for (left, right), count, own in zip(peaks, counts, _dense(ranks), strict=True):
        beyond -= own
        peak = min(left, right)
        depth = (count + 0.5) / (peak + 0.5)
        sure = peak - count > SURE * math.sqrt(peak + count + 1)
        if sure and WORSE <= beyond / ranks.size <= 1 - BETTER:
            found = min(found, (depth, beyond / ranks.size))
    return found[1] or None


def _dense(ranks: Ranks) -> list[float]:
    first, last = ranks.order[0][0], ranks.order[-1][0]
    return [ranks.own.get(at, 0.0) for at in range(first, last + 1)]


def _smooth(ranks: Ranks) -> list[float]:
    raw = [0.0, *_dense(ranks), 0.0]
    return [(a + 2 * b + c) / 4 for a, b, c in zip(raw, raw[1:], raw[2:], strict=False)]


def _before(counts: list[float]) -> list[float]:
    """The highest count before each."""
    highest = 0.0
    peaks = []
    for count in counts:
        peaks.append(highest)
        highest = max(highest, count)
    return peaks
