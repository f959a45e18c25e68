"""The sample-ratio check: does the canary serve the share that the router was told?

If it does, the number of canary requests is binomial with the known weight, and the likelihood
ratio of any other share against it is a martingale; the mixture over a few wrong shares reaches
1/LIMIT_P with probability at most LIMIT_P, however often one looks. A share that is off says
that the router, the metrics or a crashing arm is at fault, and that the bets on the label do not
hold: the rollout is inconclusive, never a success.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FACTORS = (0.1, 0.6, 0.85, 1.15, 1.5, 3.0)
"""Wrong odds of the canary, relative to the right ones, that the mixture bets on."""
LIMIT_P = 1e-4


def start() -> list[float]:
    """Log wealth of each wrong share before the first request."""
    return [-math.log(len(FACTORS))] * len(FACTORS)


def bet(state: Sequence[float], baseline: int, canary: int, weight: float) -> list[float]:
    """The log wealth after that many requests of each arm."""
    return [
        log + _gain(factor, baseline, canary, weight)
        for log, factor in zip(state, FACTORS, strict=True)
    ]


def _gain(factor: float, baseline: int, canary: int, weight: float) -> float:
    odds = factor * weight / (1 - weight)
    wrong = odds / (1 + odds)
    return canary * math.log(wrong / weight) + baseline * math.log((1 - wrong) / (1 - weight))
