"""From values to positions on a chart, with ticks a person would choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A stretch of values [low, high] drawn from `start` to `end` (pixels), linear or by log."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[float]
    log: bool = False

    def __call__(self, value: float) -> float:
        """The position of a value; values outside are drawn at the edge."""
        value = min(max(value, self.low), self.high)
        transform: Callable[[float], float] = math.log10 if self.log else float
        low, high = transform(self.low), transform(self.high)
        share = (transform(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)


def linear(high: float, start: float, end: float, *, low: float = 0.0, most: int = 5) -> Scale:
    """From `low` to the first round tick at or above `high`."""
    step = _step(max(high - low, 1e-9) / most)
    count = max(1, math.ceil((high - low) / step - 1e-9))
    ticks = [low + step * number for number in range(count + 1)]
    return Scale(low, ticks[-1], start, end, ticks)


def exact(low: float, high: float, start: float, end: float, *, most: int = 6) -> Scale:
    """Exactly [low, high], with the round ticks inside it."""
    high = max(high, low + 1e-9)
    step = _step((high - low) / most)
    first = math.ceil(low / step - 1e-9)
    ticks = [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return Scale(low, high, start, end, ticks)


def logarithmic(low: float, high: float, start: float, end: float, *, most: int = 5) -> Scale:
    """From the power of ten at or below `low` to the one at or above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    last = max(last, first + 1)
    stride = math.ceil((last - first) / most)
    powers = [power for power in range(first, last + 1) if power % stride == 0]
    ticks = [10.0**power for power in powers]
    return Scale(10.0**first, 10.0**last, start, end, ticks, log=True)


def _step(rough: float) -> float:
    """The round number at or above `rough`."""
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return magnitude * next(step for step in STEPS if step >= rough / magnitude - 1e-9)
