"""Lines of metrics as the service writes them for an experiment: users who ask several times."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from llm_service.bundle import Experiment, Feature, Variant, assign

START = 1_772_000_000.0
HOUR = 3600.0

Outcomes = Callable[[random.Random, str], dict[str, float]]
"""Values of one request, given chance and the variant."""


def experiment(*weights: float, **given: Any) -> Experiment:
    """An experiment of variants a, b, ... with these weights."""
    variants = tuple(
        Variant(name=name, weight=weight) for name, weight in zip("abcd", weights, strict=False)
    )
    return Experiment(**{"name": "longer", "variants": variants, **given})


def feature_file(of: Experiment) -> dict[str, str]:
    """The files of a bundle that has the experiment."""
    variants = [{"name": each.name, "weight": each.weight} for each in of.variants]
    told = {"name": of.name, "unit": of.unit, "metric": of.metric, "started": of.started}
    feature = {
        "name": "answer",
        "default": True,
        "prompt": "answer@1.0.0",
        "models": ["embedded"],
        "experiment": {**told, "variants": variants},
    }
    return {"features/answer.json": json.dumps(feature)}


def line(at: float, variant: str, subject: str, **values: Any) -> str:
    """One line of the experiment `longer`."""
    told = {"_aws": {"Timestamp": int(at * 1000)}, "experiment": "longer", "variant": variant}
    return json.dumps({**told, **({"subject": subject} if subject else {}), **values})


def traffic(
    of: Experiment, users: int, outcomes: Outcomes, *, seed: int = 1, asks: int = 3
) -> Iterator[str]:
    """`users` users, one a minute, each asking up to 2 * `asks` times within a quarter hour.

    What `outcomes` draws first for a user holds for all its requests but for a little noise in
    quality, so that requests of one user depend on each other.
    """
    rng = random.Random(seed)
    feature = Feature(name="answer", prompt="answer@1.0.0", models=("embedded",), experiment=of)
    for number in range(users):
        found = assign(feature, f"user-{seed}-{number}")
        values = outcomes(rng, found.variant)
        begin = START + 60 * number
        for ask in range(rng.randint(1, 2 * asks - 1)):
            yield line(
                begin + 100 * ask, found.variant, found.subject, Exposures=1, Errors=0, **values
            )
    yield line(START + 60 * users + 2 * HOUR, "a", "last", Exposures=1, Errors=0)
