"""Where an outcome stands among past outcomes: the shares of better, equal and worse ones."""

from __future__ import annotations

import math

from llmops_judge.observations import Counts
from llmops_judge.policy import Direction

UNSEEN = 0.5
"""The least that a cell counts for, so that one never seen has a rank of its own."""

FEWEST = 50
"""Past outcomes from which new ones can be called unlike."""
CHANGED = 4.0
"""Standard errors of the sum of ranks."""


class Ranks:
    """The past of one metric, ordered from good to bad.

    past: cell -> how much was seen there. Cells run from bad to good if `direction` is higher.
    """

    def __init__(self, past: Counts, direction: Direction) -> None:
        self.sign = 1 if direction == "lower" else -1
        self.order = sorted((self.sign * cell, count) for cell, count in past.items() if count > 0)
        self.size = sum(count for _, count in self.order)
        self.below: dict[int, float] = {}
        sofar = 0.0
        for badness, count in self.order:
            self.below[badness] = sofar
            sofar += count
        self.own = dict(self.order)

    def shares(self, cell: int) -> tuple[float, float]:
        """The shares of past outcomes that are better than the cell, and in it.

        Half an outcome is added to each end, and no cell counts less than that, so that neither
        share is 0 or 1, and their sum grows with badness.
        """
        badness = self.sign * cell
        own = self.own.get(badness)
        better = self._better(badness) if own is None else self.below[badness]
        whole = self.size + 3 * UNSEEN
        return (better + UNSEEN) / whole, max(own or 0.0, UNSEEN) / whole

    def unlike(self, new: Counts) -> bool:
        """Whether new outcomes are clearly better or worse than the past: an outage, or its end.

        The sum of their ranks (Wilcoxon's), tied within cells, is compared with its standard error.
        """
        n = sum(new.values())
        if self.size < FEWEST or not n:
            return False
        middles = [(self.below[at] + own / 2) / self.size - 0.5 for at, own in self.order]
        spread = sum(
            own * middle * middle for (_, own), middle in zip(self.order, middles, strict=True)
        )
        error = math.sqrt(spread / self.size * n * (1 + n / self.size) + 1)
        ranks = ((self.shares(cell), count) for cell, count in new.items())
        return abs(sum(count * (b + own / 2 - 0.5) for (b, own), count in ranks)) > CHANGED * error

    def _better(self, badness: int) -> float:
        return sum(count for other, count in self.order if other < badness)


def score(share: float) -> float:
    """The normal law's quantile of a share, to 4.5e-4 (Abramowitz and Stegun 1964, 26.2.23).

    It only has to grow with the share; a bet that is a little off its best loses nothing else.
    """
    tail = min(share, 1 - share)
    t = math.sqrt(-2 * math.log(tail))
    far = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    )
    return far if share > 0.5 else -far
