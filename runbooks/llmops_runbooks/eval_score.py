"""What an answer is worth against references: pure functions.

F1 and exactness are those of SQuAD 2.0's official evaluation script; containment asks for a
reference's words in one piece. The kit has its own ruler: a release must not be measured by what it
brings along. `correct` is 1 for an answer that contains a reference and does not decline, and for
declining a question that has no answer; a request that failed is not correct.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

from llmops_runbooks.eval_golden import Question

RANKS = (1, 3, 5)
"""The k of hit@k."""

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
SOURCE = (
    r"(?:(?:provided|given|available) )?"
    r"(?:handbook|corpus|context|documents?|documentation|passages?|pages?|sources?|text|"
    r"information|excerpts?)(?: (?:provided|given|above|(?:that )?i (?:have|was given)))?"
)
"""What stands for the corpus in a refusal."""
DECLINING = re.compile(
    r"(?:i['’]m sorry|i am sorry|sorry|unfortunately)?[,.:; ]*(?:but )?(?:"
    r"i (?:cannot|can not|can['’]t|could not|couldn['’]t|do not know|don['’]t know|am unable|"
    r"was unable|am not able|did not find|didn['’]t find|found no|have no information)|"
    rf"(?:the|this|these|our|your) {SOURCE} (?:does not|do not|doesn['’]t|don['’]t) "
    r"(?:say|mention|state|specify|tell|contain|cover|provide|address|answer|indicate)|"
    r"there (?:is|was) no (?:information|mention|answer)|"
    r"(?:that|this|it|the answer|the information) is not "
    rf"(?:\w+ )?(?:in|by) (?:the|this|these) {SOURCE})\b"
)
"""How a refusal begins, in the first person or in the source's name."""


def normalised(text: str) -> str:
    """`text` as SQuAD compares it: lower case, without punctuation and articles."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact(answer: str, reference: str) -> float:
    """1 if both are the same once normalised, else 0."""
    return float(normalised(answer) == normalised(reference))


def f1(answer: str, reference: str) -> float:
    """The harmonic mean of precision and recall over the words both have."""
    said, wanted = normalised(answer).split(), normalised(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def contained(answer: str, reference: str) -> float:
    """1 if the reference's words are a piece of the answer, else 0."""
    said, wanted = normalised(answer), normalised(reference)
    return float(f" {wanted} " in f" {said} " if wanted else not said)


def declines(answer: str) -> bool:
    """Whether the answer says that it cannot answer, in the usual words."""
    return bool(DECLINING.match(" ".join(answer.lower().split())))


def of_answer(question: Question, answer: str | None) -> Mapping[str, float]:
    """The metrics of an answer; None: the request failed."""
    if answer is None:
        return {"correct": 0.0}
    declined = declines(answer)
    if not question.answerable:
        return {"correct": float(declined), "declined": float(declined)}
    measures = {
        measure.__name__: max(measure(answer, reference) for reference in question.references)
        for measure in (f1, exact, contained)
    }
    correct = float(measures["contained"] and not declined)
    return {"correct": correct, "declined": float(declined), **measures}


def of_search(question: Question, found: Sequence[str] | None) -> Mapping[str, float]:
    """hit@k: whether the right document is among the first k; only of answerable questions."""
    if found is None or not question.answerable or question.document_id is None:
        return {}
    return {f"hit_at_{k}": float(question.document_id in found[:k]) for k in RANKS}
