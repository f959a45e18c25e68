"""Evidence that the canary is not worse than the margin allows.

The bet is against "the canary's rate of bad outcomes exceeds the baseline's by the margin m or
more". Weighted by how likely the router was to send the request there, one outcome y (1 if bad)

    X =  (y - c) / w         if the canary served it
    X = -(y - c) / (1 - w)   if the baseline did

has the mean p1 - p0 for any centre c that was fixed before. Under that null the mean is at least
m, so for any stake l >= 0 fixed before, 1 + l (m - X) has an expectation of at most 1, and as long
as l <= 1 / (max X - m) it is never negative. The product is a supermartingale under the null and
ever reaches 1/beta with probability at most beta (Ville). A centre near the rate makes X small
(Waudby-Smith and Ramdas 2024; the weighting is Horvitz and Thompson's).

Centre and stake come from the pooled past. The stake is m / (variance + m^2), the growth-optimal
one when the arms are alike, held under its bound; the mixture keeps two smaller stakes in play.
A promotion needs 1/beta on *every* deciding metric, so a canary that is worse by the margin on one
of them is promoted with probability at most beta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_judge import wealth
from llmops_judge.observations import Pair, Tally

STAKES = (0.95, 0.5, 0.25)
"""Fractions of the growth-optimal stake; all below 1, so no factor is ever zero."""
SHARES = (0.7, 0.2, 0.1)
"""How the wealth is divided among them at the start."""
GUESS = 0.05
"""The rate assumed before anything was seen; counts as PRIOR outcomes."""
PRIOR = 20.0


def start() -> list[float]:
    """Log wealth of each stake before the first outcome."""
    return [math.log(share) for share in SHARES]


def bet(
    state: Sequence[float], past: Tally, seen: Pair, weight: float, margin: float
) -> list[float]:
    """The log wealth after the outcomes `seen`; `past` are both arms' outcomes before them."""
    if seen.pooled.n == 0:
        return list(state)
    bets = stakes(past, weight, margin)
    at = centre(past)
    return [
        log + gain(stake, at, seen, weight, margin) for log, stake in zip(state, bets, strict=True)
    ]


def total(state: Sequence[float]) -> float:
    """Logarithm of the whole wealth."""
    return wealth.total(state)


def centre(past: Tally) -> float:
    """The pooled past rate of bad outcomes, drawn towards a guess while there is little of it."""
    return (past.bad + PRIOR * GUESS) / (past.n + PRIOR)


def stakes(past: Tally, weight: float, margin: float) -> list[float]:
    """The stakes of the mixture, each under the bound that keeps every factor positive."""
    at = centre(past)
    largest = max((1 - at) / weight, at / (1 - weight))
    variance = at * (1 - at) / (weight * (1 - weight))
    best = min(1 / (largest - margin), margin / (variance + margin * margin))
    return [fraction * best for fraction in STAKES]


def gain(stake: float, at: float, seen: Pair, weight: float, margin: float) -> float:
    """Logarithm of the product of the factors of all outcomes seen."""

    def factor(x: float) -> float:
        return math.log(1 + stake * (margin - x))

    baseline, canary = seen
    return (
        canary.bad * factor((1 - at) / weight)
        + (canary.n - canary.bad) * factor(-at / weight)
        + baseline.bad * factor(-(1 - at) / (1 - weight))
        + (baseline.n - baseline.bad) * factor(at / (1 - weight))
    )
