"""Which variant of an experiment a subject gets: drawn by a hash, the same at every request.

The scheme. Each variant v has a weight w and, for one subject, a number u in (0, 1) from a hash of
the experiment's name, the variant's name and the subject. The subject gets the variant with the
smallest -ln(u) / w (weighted rendezvous hashing; the exponential race behind Gumbel's trick). No
state is kept, so every task and every release draws alike, and a variant wins with probability w.

Changed weights. A variant's number depends on nothing but itself, so raising one weight only ever
moves subjects to that variant, and with two variants no more subjects move than must: the change of
the share. With more, for weights that differ by d (total variation), at most 2d/(1 + d) of the
subjects move; no scheme without memory can promise less (Bavarian et al., "Optimality of Correlated
Sampling Strategies", Theory of Computing 16, 2020). A new name of the experiment draws all anew.

A request of nobody known (no user, no conversation) gets the first variant and is not counted:
nothing would make its next request get the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

from llm_service.bundle.feature import Experiment, Feature, Variant

SPACE = 2**64
SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The feature as the subject gets it. `experiment` and `variant` are empty where none is
    counted; `subject` is the subject's hash, for reports that count subjects, never its name."""

    feature: Feature
    experiment: str = ""
    variant: str = ""
    subject: str = ""


def assign(feature: Feature, subject: str) -> Assignment:
    """The variant of the feature's experiment that the subject gets, and always will."""
    experiment = feature.experiment
    if experiment is None:
        return Assignment(feature)
    if not subject:
        return Assignment(feature.varied[experiment.variants[0].name])
    chosen = draw(experiment, subject)
    return Assignment(
        feature.varied[chosen.name], experiment.name, chosen.name, hashed(experiment, subject)
    )


def subject_of(feature: Feature, *, user: str, conversation: str, request: str) -> str:
    """Which of the three the feature's experiment draws; empty where it is not known."""
    unit = feature.experiment.unit if feature.experiment else "user"
    return {"user": user, "conversation": conversation, "request": request}[unit]


def draw(experiment: Experiment, subject: str) -> Variant:
    """The subject's variant; one of weight 0 is never drawn."""
    running = [variant for variant in experiment.variants if variant.weight > 0]
    return min(running, key=lambda each: _race(experiment.name, each, subject))


def hashed(experiment: Experiment, subject: str) -> str:
    """16 hex digits that stand for the subject in this experiment and in no other."""
    return _hash(experiment.name, "", subject).hex()


def _race(experiment: str, variant: Variant, subject: str) -> float:
    number = int.from_bytes(_hash(experiment, variant.name, subject), "big")
    return -math.log((number + 0.5) / SPACE) / variant.weight


def _hash(*parts: str) -> bytes:
    return blake2b(SEPARATOR.join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
