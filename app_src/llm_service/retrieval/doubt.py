"""Reasons to doubt that a sentence answers a question although it shares the question's words.

    doubt = the sum of the weights of what is wrong

That a page is about the question's subject does not mean that it answers it: half of the questions
of SQuAD 2.0 (Rajpurkar, Jia and Liang, ACL 2018) were written to look answerable by their
paragraph, with a negation, an opposite, another name or another number put in. Those are the
reasons here, and that the sentence has nothing of the kind that is asked for, or lacks the
question's rarest word. A reader that understands would find more; what these find is measured by
`benchmarks/retrieval/squad.py`.
"""

from __future__ import annotations

import re

from llm_service.library import Library, Passage
from llm_service.retrieval import kinds
from llm_service.retrieval.opposites import contradicts
from llm_service.text import SENTENCE_END, terms

NEGATION, OPPOSITE, KIND, FIGURE, NAME, RARE = 1.0, 1.0, 0.6, 0.5, 0.3, 0.5
"""The weights. RARE is multiplied by how rare the missing word is, 0..1."""

DOUBTED = 0.9
"""From here on a strict answerer declines; the lowest tenth at which, on the half of SQuAD's
articles that was tuned on, fewer than one answerable question in ten is declined."""

NEGATIVE = re.compile(
    r"\b(?:not|never|no|without|neither|nor|none|cannot|fail\w*|least|lack\w*|other than|except|"
    r"refus\w*)\b|n['’]t\b",
    re.IGNORECASE,
)
ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def doubt(library: Library, question: str, said: str, passage: Passage) -> float:
    """How doubtful it is that `said`, of `passage`, answers `question`; 0: nothing is wrong.

    Of a question in several sentences those count that ask, without what stands in brackets.
    """
    question = _asking(question)
    held = passage.subject | frozenset(terms(said))
    missing = [library.rarity(term) for term in set(terms(question)) - held]
    return (
        NEGATION * bool(NEGATIVE.search(question) and not NEGATIVE.search(said))
        + OPPOSITE * contradicts(question, said)
        + KIND * (not kinds.has(kinds.expected(question), said, question))
        + FIGURE * bool(set(NUMBER.findall(question)) - set(NUMBER.findall(said)))
        + NAME * bool(_names(question) - passage.terms)
        + RARE * max(missing, default=0.0)
    )


def _asking(question: str) -> str:
    """The sentences of `question` that end in a question mark; all of it if none does."""
    plain = ASIDE.sub(" ", question).strip()
    asking = " ".join(part for part in SENTENCE_END.split(plain) if part.endswith("?"))
    return asking or question


def _names(question: str) -> set[str]:
    """The terms of the capitalized words after the first."""
    _, _, rest = question.strip().partition(" ")
    return {term for name in kinds.NAME.findall(rest) for term in terms(name)}
