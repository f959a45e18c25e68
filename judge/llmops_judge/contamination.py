"""Is the arms' traffic alike? Features, model fingerprints and cache hits must not tell the arms
apart, else the arms differ by more than the release and cannot be compared.

The null: given its label (the feature it asked for, the fingerprint of the model that answered it,
hit or miss), a request was served by the canary with the known probability w, whatever came before.
For each label c let k of its n requests so far be the canary's, and predict the next one's arm by

    q = (k + S w) / (n + S)      for the canary, 1 - q for the baseline

and bet q / w on the canary and (1 - q) / (1 - w) on the baseline. Since q is known before the arm
is, the expected factor is w q/w + (1 - w)(1 - q)/(1 - w) = 1, so each label's product is a
martingale under the null; so is the product over all labels, because a request moves one of them
alone, and so is any mixture with fixed shares of both kinds. By Ville's inequality it ever reaches
1/LIMIT_P with probability at most LIMIT_P, however often one looks, and whatever the mix of labels
does over time. This is the Beta-binomial plug-in of Krichevsky and Trofimov (1981), with its prior
centred on w. The product over a label's requests telescopes to

    B(k + S w, n - k + S (1 - w)) / B(S w, S (1 - w)) / (w^k (1 - w)^(n - k))

with the Beta function B: it depends on the counts alone and not on the order within a minute, so
the two counts of each label are all that is remembered.

Half of the wealth is on the product (many labels differ a little), half on the average over all
slots (one label differs a lot). At most SLOTS labels have a slot; the slots are given by first
appearance, within a minute by how often both arms together had the label, so that no arm decides
it. All later labels share one more.

The evidence alone would also speak when a canary answers less often, if only answers are labelled,
or when the router is off. So the guard fires only if, among the labelled requests of each arm,
one label's shares differ by more than MATERIAL and by more than Z standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from llmops_judge import wealth

LIMIT_P = 1e-4
SLOTS = 12
"""Labels of a kind that are told apart."""
OTHER = "(other)"
"""What all further labels are counted as."""
LONGEST = 40
"""Characters of a label that are kept."""
STRENGTH = 10.0
"""S: how many requests the prior counts for."""
MATERIAL = 0.02
"""Differences of shares up to this are left alone."""
Z = 3.89
"""Standard errors by which shares must differ: 1 in 10,000 of a two-sided normal law."""

Labels = dict[str, list[int]]
"""Label -> requests of the baseline and of the canary that carried it."""


@dataclass(frozen=True)
class Difference:
    """The label whose shares differ most, and its shares of each arm's labelled requests."""

    label: str
    baseline: float
    canary: float


def after(before: Mapping[str, list[int]], new: tuple[Mapping[str, int], ...]) -> Labels:
    """The counts after more requests; new: (baseline, canary), label -> requests."""
    counts = {label: list(seen) for label, seen in before.items()}
    for label in sorted(set().union(*new), key=lambda one: (-sum(_of(new, one)), one)):
        slot = label[:LONGEST]
        if slot not in counts and len(counts) >= SLOTS:
            slot = OTHER
        seen = counts.setdefault(slot, [0, 0])
        for arm, count in enumerate(_of(new, label)):
            seen[arm] += count
    return counts


def evidence(labels: Mapping[str, list[int]], weight: float) -> float:
    """Logarithm of the evidence that the label tells the arms apart."""
    logs = [_log(baseline, canary, weight) for baseline, canary in labels.values()]
    unused = [0.0] * (SLOTS + 1 - len(logs))
    return wealth.mean([sum(logs), wealth.mean([*logs, *unused])])


def difference(labels: Mapping[str, list[int]]) -> Difference | None:
    """The label that differs most, if it differs materially and not by chance."""
    baseline, canary = (sum(seen[arm] for seen in labels.values()) for arm in (0, 1))
    if not baseline or not canary:
        return None
    found = [
        Difference(label, seen[0] / baseline, seen[1] / canary)
        for label, seen in labels.items()
        if _differs(seen, baseline, canary)
    ]
    return max(found, key=_size, default=None)


def _size(of: Difference) -> tuple[float, bool]:
    """How much it differs; of two labels that differ alike, the one the canary has more of."""
    return round(abs(of.canary - of.baseline), 9), of.canary > of.baseline


def _differs(seen: list[int], baseline: int, canary: int) -> bool:
    apart = abs(seen[1] / canary - seen[0] / baseline)
    pooled = sum(seen) / (baseline + canary)
    error = math.sqrt(pooled * (1 - pooled) * (1 / baseline + 1 / canary))
    return apart > MATERIAL and apart > Z * error


def _log(baseline: int, canary: int, weight: float) -> float:
    a, b = STRENGTH * weight, STRENGTH * (1 - weight)
    predicted = _log_beta(a + canary, b + baseline) - _log_beta(a, b)
    return predicted - canary * math.log(weight) - baseline * math.log(1 - weight)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _of(new: tuple[Mapping[str, int], ...], label: str) -> tuple[int, ...]:
    return tuple(labels.get(label, 0) for labels in new)
