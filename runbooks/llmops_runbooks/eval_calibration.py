"""How far a judging model agrees with people who scored the same answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from llmops_runbooks.eval_schema import Agreement, Calibration
from llmops_runbooks.eval_statistics import kappa, resampled, spearman

CUT = 0.5
"""From this score on, an answer counts as right for Cohen's kappa."""


def calibration(name: str, people: Sequence[float], judge: Sequence[float | None]) -> Calibration:
    """The agreement over the answers that the judge gave a score for."""
    pairs = [
        (human, score) for human, score in zip(people, judge, strict=True) if score is not None
    ]
    words = [(human >= CUT, score >= CUT) for human, score in pairs]
    return Calibration(
        name=name,
        n=len(pairs),
        failed=len(judge) - len(pairs),
        cut=CUT,
        kappa=_agreement(kappa, words),
        spearman=_agreement(spearman, pairs),
        difference=round(fmean(score - human for human, score in pairs), 4) if pairs else None,
    )


def _agreement(measure: Callable[[Sequence[Any]], float | None], pairs: Sequence[Any]) -> Agreement:
    value = measure(pairs) if pairs else None
    around = resampled(measure, pairs) if value is not None else None
    low, high = around or (None, None)
    return Agreement(value=_short(value), low=_short(low), high=_short(high))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
