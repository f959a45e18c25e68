"""How much more a metric needs: an honest guess from the rates seen so far.

The rates of both arms are taken as they are (smoothed a little); each better of the bank then
grows by a known amount per outcome on average, and the first to reach its bound says how many
outcomes are missing. It is a forecast, not a guarantee: rates move.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from llmops_judge import against, harmless
from llmops_judge.observations import Pair, Tally

SMALLEST_GROWTH = 1e-6
"""Growth per outcome below which a metric is said not to move."""


def outcomes_needed(
    towards_rollback: Sequence[float],
    towards_promotion: Sequence[float],
    *,
    seen: Pair,
    weight: float,
    margin: float,
    bounds: tuple[float, float],
) -> float | None:
    """Outcomes of both arms until one of the two log `bounds` is reached; None: not in sight."""
    if min(seen.baseline.n, seen.canary.n) == 0:
        return None
    likely = _expected(seen, weight)
    past = seen.pooled
    worse = (against.gain(expert, likely, weight) for expert in against.bank(past, weight))
    centre = harmless.centre(past)
    fine = (
        harmless.gain(stake, centre, likely, weight, margin)
        for stake in harmless.stakes(past, weight, margin)
    )
    found = [
        *_waits(towards_rollback[1:], worse, bounds[0]),
        *_waits(towards_promotion, fine, bounds[1]),
    ]
    return min(found, default=None)


def _expected(seen: Pair, weight: float) -> Pair:
    """The expected cells of one more outcome."""
    shares = []
    for tally, share in ((seen.baseline, 1 - weight), (seen.canary, weight)):
        rate = (tally.bad + 0.5 * seen.pooled.bad / seen.pooled.n) / (tally.n + 0.5)
        shares.append(Tally(share, share * rate))
    return Pair(*shares)


def _waits(logs: Iterable[float], growths: Iterable[float], bound: float) -> Iterable[float]:
    for log, growth in zip(logs, growths, strict=True):
        if growth > SMALLEST_GROWTH:
            yield max(0.0, math.ceil((bound - log) / growth))
