"""How much more a metric needs: an honest guess from what was seen so far.

The next outcomes are expected to fall into the cells as both arms' did so far, each arm drawn a
little towards both together. Each bet of the bank then grows by a known amount per outcome on
average (the expectation of the logarithm of its factor: Kelly 1956), and the first to reach its
bound says how many outcomes are missing. It is a forecast, not a guarantee: outcomes scatter, and
services drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_judge import harmless
from llmops_judge.minimums import minimum
from llmops_judge.observations import Counts, plus, size, to_cells
from llmops_judge.policy import Metric, Policy
from llmops_judge.track import Track

SMALLEST_GROWTH = 1e-6
"""Growth per outcome below which a metric is said not to move."""
DRAWN = 20.0
"""How many outcomes, spread as both arms' are together, are added to each arm's own: most canaries
are like their baseline, and few outcomes are no reason to expect otherwise."""

Pair = tuple[Counts, Counts]


def requests_needed(
    policy: Policy, weight: float, state: Mapping[str, Any], metric: Metric
) -> int | None:
    """Requests of both arms until the metric decides; None: that is not in sight.

    state: the whole state of the judge.
    """
    history = to_cells((state["history"] or {}).get("counts", {}).get(metric.name, {}))
    track = Track(metric, weight, state["metrics"][metric.name], history)
    counts = track.outcomes()
    found = outcomes_needed(policy, track) if min(counts) > 0 else None
    if found is None:
        return None
    requests: int = sum(state["requests"].values())
    least = minimum(policy, metric, sum(counts), requests)
    sizes = zip(counts, (1 - weight, weight), strict=True)
    short = max(0.0, *((least - n) / share for n, share in sizes))
    return math.ceil(max(found, short) * requests / sum(counts))


def outcomes_needed(policy: Policy, track: Track) -> float | None:
    """Outcomes of both arms until the metric's own evidence decides, whichever way comes first.

    The family's evidence is an average, so one gating metric of k must reach k times its bound.
    """
    likely = expected((track.seen(0), track.seen(1)), track.weight)
    sharing = len(policy.deciding) if track.metric.gates else 1
    growths = track.bets.after([0.0] * len(track.staked), likely)
    worse = _wait(track.staked, growths, math.log(sharing / policy.alpha))
    fine = _until_harmless(track, likely, -math.log(policy.beta))
    return min((wait for wait in (worse, fine) if wait is not None), default=None)


def expected(seen: Pair, weight: float) -> Pair:
    """The expected cells of one more outcome, by arm; all together sum to 1."""
    both = plus(*seen)
    share = {cell: count / size(both) for cell, count in both.items()}
    baseline, canary = (
        {
            cell: arm * (counts.get(cell, 0) + DRAWN * share[cell]) / (size(counts) + DRAWN)
            for cell in share
        }
        for counts, arm in zip(seen, (1 - weight, weight), strict=True)
    )
    return baseline, canary


def _until_harmless(track: Track, likely: Pair, bound: float) -> float | None:
    """The later of the margin's and the tail's proof."""
    waits = [
        _wait(logs, harmless.after([0.0] * len(logs), claim, track.weight, likely), bound)
        for logs, claim in track.proofs()
    ]
    found = [wait for wait in waits if wait is not None]
    return max(found) if len(found) == len(waits) else None


def _wait(logs: Sequence[float], growths: Iterable[float], bound: float) -> float | None:
    """Outcomes until the first of the bets reaches the bound."""
    waits = (
        max(0.0, (bound - log) / growth)
        for log, growth in zip(logs, growths, strict=True)
        if growth > SMALLEST_GROWTH
    )
    return min(waits, default=None)
