"""The golden set's rules: which answers are right, and whether a candidate passes. Pure.

The candidate is compared with the baseline question by question. Under "no worse", a question on
which the two differ goes either way alike, so the number that went from right to wrong is at most
binomial with one half: the exact one-sided sign test (McNemar's, 1947, in its exact form).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

from llmops_judge.policy import Golden

LONGEST_ANSWER = 2000
"""Characters of an answer that are kept."""


class GoldenError(Exception):
    """The golden set cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Question:
    """A question and the words that a right answer holds."""

    id: str
    text: str
    expected: str

    def is_right(self, answer: str) -> bool:
        """Whether an answer holds the expected words, in whatever case: the rule by which the
        rehearsal's traffic calls an answer wrong, too."""
        return self.expected.lower() in answer.lower()


@dataclass(frozen=True)
class Given:
    """One answer, and whether it is right."""

    answer: str
    passed: bool

    def to_json(self) -> dict[str, Any]:
        return {"answer": self.answer, "passed": self.passed}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Given:
        return cls(str(value["answer"]), bool(value["passed"]))


@dataclass(frozen=True)
class Sheet:
    """One release's answers, by question id."""

    release: str
    given: Mapping[str, Given]

    @property
    def passed(self) -> int:
        """How many are right."""
        return sum(each.passed for each in self.given.values())

    def marks(self) -> dict[str, Any]:
        """As the record has it."""
        return {"release": self.release, "passed": self.passed}


def questions(content: bytes, where: str) -> list[Question]:
    """The questions of a golden set, JSON lines. Raises GoldenError that names the line."""
    found = []
    for number, line in enumerate(content.decode().splitlines(), 1):
        if line.strip():
            found.append(_question(line, f"{where}, line {number}"))
    if len({each.id for each in found}) < len(found):
        raise GoldenError(f"{where}: two questions have the same id.")
    return found


def judged(question: Question, answer: str) -> Given:
    """An answer with its mark; only its beginning is kept."""
    return Given(answer[:LONGEST_ANSWER], question.is_right(answer))


def sign_test(worse: int, better: int) -> float:
    """The chance of at least so many questions gone wrong among all that changed, if either way
    is alike."""
    changed = worse + better
    ways: int = sum(comb(changed, k) for k in range(worse, changed + 1))
    return ways / (1 << changed)


def result(
    digest: str,
    asked: Sequence[Question],
    canary: Sheet,
    baseline: Sheet | None,
    rules: Golden,
    *,
    unpaired: str = "",
) -> dict[str, Any]:
    """The golden set's part of the record, with the decision and its reason.

    unpaired: why there is no baseline, if there is none.
    """
    flips = _flips(asked, canary, baseline) if baseline else []
    worse = sum(not flip["canary"]["passed"] for flip in flips)
    better = len(flips) - worse
    p_value = sign_test(worse, better) if baseline else None
    told = f"{canary.passed} of {len(asked)} golden questions pass on the test listener"
    if baseline:
        told += f" (baseline {baseline.passed})"
    if canary.passed < rules.minimum * len(asked):
        passed, more = False, f", but the policy asks for {100 * rules.minimum:g} %."
    elif p_value is None:
        passed, more = True, f"; the policy asks for {100 * rules.minimum:g} %."
    else:
        passed, more = _paired(worse, better, p_value, rules)
    return {
        "set": digest,
        "questions": len(asked),
        "minimum": rules.minimum,
        "p_value": p_value,
        "passed": passed,
        "reason": f"{told}{more} {unpaired}".strip(),
        "baseline": baseline.marks() if baseline else None,
        "canary": canary.marks(),
        "flips": flips,
    }


def _paired(worse: int, better: int, p_value: float, rules: Golden) -> tuple[bool, str]:
    ways = f": {worse} went from right to wrong and {better} from wrong to right"
    if p_value < rules.alpha:
        return False, f"{ways}, p {p_value:.2g} is below {rules.alpha:g}."
    return True, f"{ways}, p {p_value:.2g} is not below {rules.alpha:g}."


def _flips(asked: Iterable[Question], canary: Sheet, baseline: Sheet) -> list[dict[str, Any]]:
    return [
        {
            "id": each.id,
            "question": each.text,
            "expected": each.expected,
            "baseline": baseline.given[each.id].to_json(),
            "canary": canary.given[each.id].to_json(),
        }
        for each in asked
        if baseline.given[each.id].passed != canary.given[each.id].passed
    ]


def _question(line: str, where: str) -> Question:
    try:
        row = json.loads(line)
        return Question(str(row["id"]), str(row["question"]), str(row["answer"]))
    except (ValueError, LookupError, TypeError) as error:
        raise GoldenError(
            f"{where}: a golden question needs id, question and answer ({error!r})."
        ) from error
