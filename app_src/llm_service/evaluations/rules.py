"""The verdict by rule: what an answer is worth without a model to ask.

    refused                     declined; 1 if the question cannot be answered, else 0
    answered the unanswerable   wrong, 0
    exact or contained          correct, 1
    another number              wrong, 0: the reference's unit with a figure it does not have
    a number is missing         never correct
    else                        its F1: correct from CORRECT on, partly from PARTLY on

A refusal is known by the usual words (`quality.declines`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_service.evaluations import scores
from llm_service.evaluations.shapes import Verdict
from llm_service.quality import declines

CORRECT = 0.8
PARTLY = 0.3


@dataclass(frozen=True, slots=True)
class Ruling:
    """A score from 0 to 1, its word, the reason in one sentence, and the measures behind it."""

    score: float
    verdict: Verdict
    why: str
    metrics: dict[str, float]


def ruling(answer: str, references: Sequence[str], contexts: Sequence[str] | None) -> Ruling:
    """What the rules say of `answer`; no reference: the question cannot be answered."""
    metrics = measures(answer, references, contexts)
    score, verdict, why = _decided(answer, references, metrics)
    return Ruling(round(score, 4), verdict, why, metrics)


def measures(
    answer: str, references: Sequence[str], contexts: Sequence[str] | None
) -> dict[str, float]:
    """The measures that mean something here, each 0 to 1."""
    wanted = references or ("",)
    found = {
        "f1": scores.best(scores.f1, answer, wanted),
        "exact": scores.best(scores.exact, answer, wanted),
        "contained": scores.best(scores.contained, answer, wanted),
    }
    if any(map(scores.quantities, references)):
        found["numbers"] = scores.best(scores.numbers, answer, references)
    if contexts:
        found["supported"] = scores.supported(answer, contexts)
    return {name: round(value, 4) for name, value in found.items()}


def word(score: float) -> Verdict:
    """The verdict of a score."""
    return "correct" if score >= CORRECT else "partly" if score >= PARTLY else "wrong"


def _decided(
    answer: str, references: Sequence[str], metrics: dict[str, float]
) -> tuple[float, Verdict, str]:
    if not answer.strip():
        return 0.0, "wrong", "The answer is empty."
    if declines(answer, ""):
        rightly = not references
        why = "and the question has no answer" if rightly else "although there is one"
        return float(rightly), "declined", f"The answer declines, {why}."
    if not references:
        return 0.0, "wrong", "The question has no answer, and the answer gives one."
    return _likeness(answer, references, metrics)


def _likeness(
    answer: str, references: Sequence[str], metrics: dict[str, float]
) -> tuple[float, Verdict, str]:
    if metrics["exact"]:
        return 1.0, "correct", "The answer is the reference."
    if metrics["contained"]:
        return 1.0, "correct", "The answer holds the reference word for word."
    if metrics.get("numbers", 1.0) < 1:
        return _without_a_number(answer, references, metrics["f1"])
    f1 = metrics["f1"]
    return f1, word(f1), f"The answer shares words with the reference (F1 {f1:.2f})."


def _without_a_number(
    answer: str, references: Sequence[str], f1: float
) -> tuple[float, Verdict, str]:
    nearest = max(references, key=lambda reference: scores.numbers(answer, reference))
    if denied := scores.denied(answer, nearest):
        said, wanted = denied
        return 0.0, "wrong", f"The answer says {said} where the reference says {wanted}."
    lacking = ", ".join(map(str, scores.missing(answer, nearest)))
    score = min(f1, (PARTLY + CORRECT) / 2)
    return score, word(score), f"The answer lacks what the reference gives as {lacking}."
