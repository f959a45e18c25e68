"""How far apart the means of two arms are: an interval that holds however often one looks.

A unit (a user, a conversation, a request) is drawn into arm 1 with the known probability p, into
arm 0 with 1 - p. Its outcome y lies between 0 and 1. Weighted by how likely the draw was,

    x =  (y - c) / p         in arm 1
    x = -(y - c) / (1 - p)   in arm 0

has the mean mu1 - mu0 = d whatever c was fixed before (Horvitz and Thompson 1952), at this moment:
both arms may drift. For any m fixed before, let s = (x - m) / B with |s| <= 1. Then for each stake
0 <= l < 1, with psi(l) = -log(1 - l) - l,

    exp( l (x - d) / B  -  psi(l) s^2 )

has an expectation of at most 1 (Fan, Grama and Liu 2015, lemma 4.1; Howard et al. 2021), and so has
the same with both signs turned. The product over the units is a supermartingale from 1; so is the
average over several stakes. By Ville's inequality it ever reaches 2/alpha with probability at most
alpha/2 on either side. The interval is all d for which neither side has: with probability 1 - alpha
it covers d at every look at once (Waudby-Smith and Ramdas 2024, section 3, for one mean).

Centre c and guess m come from the units seen before. Only sums enter, so units that came in a batch
need no order among each other, as long as c and m were fixed before the batch.

What it costs: with a thousand units a share of alpha 0.05 is enclosed about 1.7 times as wide as by
an interval that may be looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from llmops_judge import wealth

STAKES = tuple(0.8 / 2**step for step in range(8))
"""Each is the best for a certain number of units, from some ten to some hundred thousand."""
SHARE = math.log(len(STAKES))
GUESS, PRIOR = 0.5, 1.0
"""The mean assumed before anything was seen, and how many units it counts as."""
BISECTIONS = 40
MOST = 10_000_000
"""Units beyond which a forecast says nothing."""
SPLIT = 0.001
"""A split of units this unlikely under the weights is none of the weights'."""

Outcome = tuple[int, float, float]
"""Arm, value from 0 to 1, how many units."""


@dataclass(frozen=True)
class Difference:
    """What is known of mu1 - mu0. probability: p. size: units seen of both arms.

    gained: the sum of x. spread: the sum of s^2. mass: the sum of y, for the centre.
    """

    probability: float
    size: float = 0.0
    gained: float = 0.0
    spread: float = 0.0
    mass: float = 0.0

    @property
    def reach(self) -> float:
        """B: |x - m| is at most this."""
        return 1 + max(1 / self.probability, 1 / (1 - self.probability))

    @property
    def estimate(self) -> float:
        """The mean of x; 0 before the first unit."""
        return self.gained / self.size if self.size else 0.0

    def after(self, batch: Iterable[Outcome]) -> Difference:
        """What is known after the batch too."""
        centre = (self.mass + GUESS * PRIOR) / (self.size + PRIOR)
        guess = min(1.0, max(-1.0, self.gained / (self.size + PRIOR)))
        size, gained, spread, mass = self.size, self.gained, self.spread, self.mass
        for arm, value, count in batch:
            x = self._weighted(arm, value - centre)
            size += count
            gained += count * x
            spread += count * ((x - guess) / self.reach) ** 2
            mass += count * value
        return replace(self, size=size, gained=gained, spread=spread, mass=mass)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The ends of the interval, between -1 and 1; all of that before the first unit."""
        bound = math.log(2 / alpha)
        return -self._highest(-self.gained, bound), self._highest(self.gained, bound)

    def covers(self, d: float, alpha: float) -> bool:
        """Whether d lies in the interval."""
        sides = self._against(self.gained, d), self._against(-self.gained, -d)
        return max(sides) < math.log(2 / alpha)

    def needs(self, alpha: float, within: float = 0.0) -> int | None:
        """About how many more units settle it, if they are like those seen: until the interval lies
        on one side of 0 or between -within and within. None: more than `MOST`, or nothing seen."""
        if not self.size:
            return None
        if self.settled(alpha, within):
            return 0
        factor = 1.0
        while self.size * factor < MOST:
            factor *= 1.05
            if self._grown(factor).settled(alpha, within):
                return math.ceil(self.size * (factor - 1))
        return None

    def settled(self, alpha: float, within: float = 0.0) -> bool:
        """Whether the interval lies on one side of 0, or between -within and within."""
        low, high = self.interval(alpha)
        return low > 0 or high < 0 or (-within < low and high < within)

    def _grown(self, factor: float) -> Difference:
        return replace(
            self,
            size=self.size * factor,
            gained=self.gained * factor,
            spread=self.spread * factor,
        )

    def _weighted(self, arm: int, away: float) -> float:
        return away / self.probability if arm else -away / (1 - self.probability)

    def _highest(self, gained: float, bound: float) -> float:
        """The largest d that bets on a smaller one have not refuted."""
        low, high = -1.0, 1.0
        if self._against(gained, high) < bound:
            return high
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if self._against(gained, middle) < bound:
                low = middle
            else:
                high = middle
        return high

    def _against(self, gained: float, d: float) -> float:
        """Log wealth of the bets that the mean is below d."""
        away = (self.size * d - gained) / self.reach
        return wealth.total([stake * away + self.spread * _PSI[stake] for stake in STAKES]) - SHARE


_PSI = {stake: math.log(1 - stake) + stake for stake in STAKES}
"""-psi of each stake."""


def split_is_odd(counts: Sequence[float], shares: Sequence[float]) -> bool:
    """Whether the units of the arms are not split as the shares say, at whatever look.

    The e-value of a uniform mixture over all splits against the shares (Lindon and Malek 2022,
    "Anytime-valid inference for multinomial count data"); it ever reaches 1 / `SPLIT` with
    probability at most `SPLIT` if the shares hold.
    """
    total = sum(counts)
    log = math.lgamma(len(counts)) - math.lgamma(total + len(counts))
    for count, share in zip(counts, shares, strict=True):
        if count and not share:
            return True
        log += math.lgamma(count + 1) - (count * math.log(share) if count else 0.0)
    return log >= -math.log(SPLIT)
