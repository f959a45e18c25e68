"""The stand-in's models: they differ in how long they take and in what they fail at."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

MEDIAN_SECONDS = 0.04
SPREAD = 0.4
"""Standard deviation of the logarithm of the seconds: the slowest in a hundred take 2.5 medians."""


@dataclass(frozen=True)
class Model:
    """How a model behaves.

    pace: its median time, in medians of the standard model.
    stalls: the share of calls that take `stall` times as long.
    most_read: a question of more words gets an empty answer, as from a model that thought until its
        tokens were used up; None: any length will do.
    most_said: words after which an answer breaks off; None: none breaks off.
    """

    pace: float = 1.0
    stalls: float = 0.0
    stall: float = 1.0
    most_read: int | None = None
    most_said: int | None = None

    def seconds(self, chance: random.Random) -> float:
        """How long one call takes: log-normal, and now and then a stall."""
        drawn = MEDIAN_SECONDS * self.pace * math.exp(chance.gauss(0, SPREAD))
        return drawn * (self.stall if chance.random() < self.stalls else 1)

    def say(self, question: str, draft: str) -> str:
        """What the model makes of a draft."""
        if self.most_read is not None and len(question.split()) > self.most_read:
            return ""
        return draft if self.most_said is None else " ".join(draft.split()[: self.most_said])


MODELS = {
    "stand-in": Model(),
    "stand-in-mini": Model(pace=0.6),
    "stand-in-large": Model(pace=1.6),
    "stand-in-shared": Model(stalls=0.08, stall=8),
    "stand-in-thinking": Model(most_read=21),
    "stand-in-terse": Model(most_said=8),
}
