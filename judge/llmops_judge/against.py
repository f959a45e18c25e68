"""Evidence that the canary is worse: betting on the label.

The bet. The router gives each request to the canary with the known probability w. If the canary
is no worse than the baseline, knowing that a request went badly does not make it likelier that
the canary served it. So bet, on each outcome y, that it did:

    e = r(y) / (w r(y) + 1 - w)   if the canary served it
    e =   1  / (w r(y) + 1 - w)   if the baseline did

with r(bad) > 1 > r(good). The wealth is the product of all e.

Why false rollbacks are at most alpha. Let p0 and p1 be the probabilities of a bad outcome in the
baseline and in the canary at this moment (they may drift, together, in any way), p1 <= p0, and
let r be fixed before the outcome is seen. Write g(y) = r(y) / (w r(y) + 1 - w): it grows with
r, so it is larger on a bad outcome. Then

    E[e] = w E_canary[g] + (1 - w) E_baseline[1 / (w r + 1 - w)]
        <= w E_baseline[g] + (1 - w) E_baseline[1 / (w r + 1 - w)]      (p1 <= p0, g increasing)
         = E_baseline[(w r + 1 - w) / (w r + 1 - w)] = 1

with equality when p1 = p0. Hence the product is a non-negative supermartingale that starts at 1,
whatever the rates are and however they drift; by Ville's inequality it ever reaches 1/alpha with
probability at most alpha, however often one looks. A mixture of such products with fixed shares
is one again, so is wealth that sleeps at first and wakes by a rule that looks at no label, and so
is the average over several metrics under any dependence between them.

The bank. Which r pays depends on the regression and on the base rate. The experts are odds
ratios times two guesses of the base rate that the pooled past corrects soon: r = p1/p0 on a bad
outcome, (1-p1)/(1-p0) on a good one. The pooled rate comes from past data only. Within a minute
of counts the bank is frozen, so that the product depends on the four counts alone and not on the
order of the requests, and the argument above holds request by request.

The units. For `errors` the unit is the request, which is what the router randomises. For
`quality` it is the answered request: the label of an answer has probability w exactly when both
arms answer the same share of their requests; when they do not, `errors` sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_judge import wealth
from llmops_judge.observations import Pair, Tally

RATIOS = (1.6, 2.5, 5.0, 12.0, 40.0)
"""Odds ratios the experts bet on: from a mild regression to a broken release."""
GUESSES = (0.01, 0.10)
"""Base rates assumed before anything was seen; each counts as PRIOR outcomes."""
PRIOR = 20.0
SLEEPING = 0.15
"""Share of the wealth that is not staked at first, kept for a release that goes bad late."""
WAKING = 5000.0
"""Outcomes after which half of the sleeping wealth has been staked."""

EXPERTS = tuple((guess, ratio) for guess in GUESSES for ratio in RATIOS)


def start() -> list[float]:
    """Log wealth before the first outcome: the sleeping share, then one entry per expert."""
    awake = math.log((1 - SLEEPING) / len(EXPERTS))
    return [math.log(SLEEPING), *([awake] * len(EXPERTS))]


def bet(state: Sequence[float], past: Tally, seen: Pair, weight: float) -> list[float]:
    """The log wealth after the outcomes `seen`; `past` are both arms' outcomes before them."""
    count = seen.pooled.n
    if count == 0:
        return list(state)
    asleep, staked = _wake(state, past.n, count)
    bets = bank(past, weight)
    return [
        asleep,
        *(log + gain(expert, seen, weight) for log, expert in zip(staked, bets, strict=True)),
    ]


def bank(past: Tally, weight: float) -> list[tuple[float, float]]:
    """The experts' (r(good), r(bad)), from past data only."""
    return [_expert(guess, ratio, past, weight) for guess, ratio in EXPERTS]


def gain(expert: tuple[float, float], seen: Pair, weight: float) -> float:
    """Logarithm of the product of one expert's e over all outcomes seen."""
    good, bad = expert
    canary, pooled = seen.canary, seen.pooled
    return (
        canary.bad * math.log(bad)
        + (canary.n - canary.bad) * math.log(good)
        - pooled.bad * math.log(weight * bad + 1 - weight)
        - (pooled.n - pooled.bad) * math.log(weight * good + 1 - weight)
    )


def _expert(guess: float, ratio: float, past: Tally, weight: float) -> tuple[float, float]:
    pooled = (past.bad + PRIOR * guess) / (past.n + PRIOR)
    base = pooled / (1 - weight + weight * ratio / (1 - pooled + ratio * pooled))
    worse = ratio * base / (1 - base + ratio * base)
    return (1 - worse) / (1 - base), worse / base


def _wake(state: Sequence[float], before: float, count: float) -> tuple[float, list[float]]:
    """Stake the part of the sleeping wealth that is due before the next `count` outcomes."""
    asleep, staked = state[0], state[1:]
    stays = (before + WAKING) / (before + count + WAKING)
    share = asleep + math.log1p(-stays) - math.log(len(EXPERTS))
    return asleep + math.log(stays), [wealth.total((log, share)) for log in staked]
