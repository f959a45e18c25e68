"""How far a judging model agrees with people who read the same answers, and what it must beat.

Agreement is counted in words: a score from CUT on says right. Accuracy alone flatters a judge that
says yes to everything where most answers are right; Cohen's kappa takes out what chance would give.
A judge costs money and time, so it has to earn them: the scores that need no model are held against
the same labels, and the judge's gain over each comes with its paired interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from llmops_runbooks import eval_score
from llmops_runbooks.errors import ExitCode
from llmops_runbooks.eval_golden import Graded, Question
from llmops_runbooks.eval_schema import Agreement, Baseline, Calibration, Category, Judge
from llmops_runbooks.eval_statistics import kappa, resampled, spearman, tango, wilson

CUT = 0.5
"""From this score on, an answer counts as right."""
Words = Sequence[tuple[bool, bool]]
"""Whether people, and whether the judge, call an answer right."""


def calibration(name: str, graded: Sequence[Graded], judge: Sequence[float | None]) -> Calibration:
    """The agreement over the answers that the judge gave a score for."""
    both = [(each, score) for each, score in zip(graded, judge, strict=True) if score is not None]
    pairs = [(each.human, score) for each, score in both]
    words = [(human >= CUT, score >= CUT) for human, score in pairs]
    return Calibration(
        name=name,
        n=len(pairs),
        failed=len(judge) - len(pairs),
        cut=CUT,
        accuracy=_accuracy(words),
        kappa=_agreement(kappa, words),
        spearman=_agreement(spearman, pairs),
        difference=round(fmean(score - human for human, score in pairs), 4) if pairs else None,
        categories=_categories(graded, judge),
        baselines=baselines([each for each, _ in both], words),
    )


def baselines(graded: Sequence[Graded], judged: Words = ()) -> dict[str, Baseline]:
    """The agreement of the scores that ask no model; `judged`: the judge's words on the same."""
    return {
        name: _baseline([(each.human >= CUT, rule(each)) for each in graded], judged)
        for name, rule in RULES.items()
    }


def exit_code(found: Mapping[str, Baseline]) -> ExitCode:
    """Whether the judge is surely better than the best of the scores that ask no model (0), surely
    worse (1), or neither (3); 0 without a judge."""
    gains = [each.gain for each in found.values() if each.gain is not None]
    if not gains:
        return ExitCode.DONE
    least = min(gains, key=lambda gain: gain.value or 0.0)
    if (least.low or 0.0) > 0:
        return ExitCode.DONE
    return ExitCode.FAILED if (least.high or 0.0) < 0 else ExitCode.UNDECIDED


def to_json(
    name: str, graded: int, found: Mapping[str, Baseline], judge: Judge | None
) -> dict[str, Any]:
    """The JSON value of `llmops eval calibrate`; `judge` holds the agreement in full."""
    return {
        "schema": "llmops-eval-calibration/1",
        "name": name,
        "graded": graded,
        "cut": CUT,
        "baselines": {rule: each.model_dump() for rule, each in found.items()},
        "judge": judge and judge.model_dump(),
    }


def _by_containment(graded: Graded) -> bool:
    return eval_score.of_answer(_question(graded), graded.answer)["correct"] == 1


def _by_f1(graded: Graded) -> bool:
    found = eval_score.of_answer(_question(graded), graded.answer)
    return bool(found["correct"] if "f1" not in found else found["f1"] >= CUT)


RULES: Mapping[str, Callable[[Graded], bool]] = {"correct": _by_containment, "f1": _by_f1}


def _question(graded: Graded) -> Question:
    return Question("", graded.question, bool(graded.references), graded.references)


def _baseline(words: Words, judged: Words) -> Baseline:
    found = Baseline(accuracy=_accuracy(words), kappa=_agreement(kappa, words))
    if not judged:
        return found
    rule, judge = ([one == other for one, other in each] for each in (words, judged))
    gained = sum(new and not old for old, new in zip(rule, judge, strict=True))
    lost = sum(old and not new for old, new in zip(rule, judge, strict=True))
    low, high = tango(gained, lost, len(words))
    gain = Agreement(value=_short((gained - lost) / len(words)), low=_short(low), high=_short(high))
    return found.model_copy(update={"gain": gain})


def _categories(graded: Sequence[Graded], judge: Sequence[float | None]) -> dict[str, Category]:
    """By category, in the order of the set; none if it has none."""
    names = dict.fromkeys(each.category for each in graded if each.category)
    pairs = list(zip(graded, judge, strict=True))
    return {
        name: _category([(one, score) for one, score in pairs if one.category == name])
        for name in names
    }


def _category(pairs: Sequence[tuple[Graded, float | None]]) -> Category:
    words = [(one.human >= CUT, score >= CUT) for one, score in pairs if score is not None]
    return Category(
        n=len(pairs),
        people=sum(one.human >= CUT for one, _ in pairs),
        judge=sum(judge for _, judge in words),
        agreed=sum(one == other for one, other in words),
        failed=len(pairs) - len(words),
    )


def _accuracy(words: Words) -> Agreement:
    if not words:
        return Agreement(value=None, low=None, high=None)
    agreed = sum(one == other for one, other in words)
    low, high = wilson(agreed, len(words))
    return Agreement(value=_short(agreed / len(words)), low=_short(low), high=_short(high))


def _agreement(measure: Callable[[Sequence[Any]], float | None], pairs: Sequence[Any]) -> Agreement:
    value = measure(pairs) if pairs else None
    around = resampled(measure, pairs) if value is not None else None
    low, high = around or (None, None)
    return Agreement(value=_short(value), low=_short(low), high=_short(high))


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
