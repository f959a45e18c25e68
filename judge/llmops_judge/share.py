"""The sample-ratio check: does the canary serve the share that the router was told?

If it does, the number of canary requests is binomial with the known weight, and the likelihood
ratio of any other share against it is a martingale; the mixture over a few wrong shares reaches
1/LIMIT_P with probability at most LIMIT_P, however often one looks. A share that is off says
that the router, the metrics or a crashing arm is at fault, and that the bets on the label do not
hold: the rollout is inconclusive, never a success.

The likelihood ratio depends on the two totals alone, so nothing has to be remembered beside them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from llmops_judge import wealth

FACTORS = (0.1, 0.6, 0.85, 1.15, 1.5, 3.0)
"""Wrong odds of the canary, relative to the right ones, that the mixture bets on."""
LIMIT_P = 1e-4


def evidence(baseline: float, canary: float, weight: float) -> float:
    """Logarithm of the evidence that the share is wrong, after that many requests of each arm."""
    return wealth.total(bet(start(), baseline, canary, weight))


def start() -> list[float]:
    """Log wealth of each wrong share before the first request."""
    return [-math.log(len(FACTORS))] * len(FACTORS)


def bet(state: Sequence[float], baseline: float, canary: float, weight: float) -> list[float]:
    """The log wealth after that many requests of each arm."""
    return [
        log + canary * won + baseline * lost
        for log, (won, lost) in zip(state, _odds(weight), strict=True)
    ]


@functools.lru_cache(maxsize=16)
def _odds(weight: float) -> tuple[tuple[float, float], ...]:
    """For each wrong share: the log factor of a request of the canary and of the baseline."""
    wrong = [factor * weight / (1 - weight + factor * weight) for factor in FACTORS]
    return tuple((math.log(q / weight), math.log((1 - q) / (1 - weight))) for q in wrong)
