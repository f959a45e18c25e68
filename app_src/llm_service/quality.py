"""How good an answer is, without a person or a model to ask.

    quality = support * rightly

`support` is the share of the question's weight that the answer's source holds, times the share of
the answer's weight that this source holds: an answer is supported if its source is about the
question *and* the answer says what the source says. An answer without a word of its own (empty,
function words only) is not supported. A refusal claims nothing: its support is 1.

`rightly` is 0 for a refusal although a passage of the corpus supports the question, and for an
answer although none does; else 1. Which passages there are is looked up here, with the user's
message as it was written, never with the query or the passages of the release that is scored: it
would otherwise mark its own homework. What this cannot see is a wrong sentence of the right page;
the golden set, a judging model and users' thumbs can.

Terms weigh by the square of their inverse document frequency: what a message is about are its rare
words, and a preamble in everyday words should not count like them. Stop words and greetings are no
terms at all. Words that no document knows are left out of `support` (names, typing errors), but
count like the rarest where the question is whether the corpus is about it at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from llm_service.library import Library, Passage
from llm_service.text import terms

SUPPORTED = 0.35
"""The least share of a question that a passage must hold to support it: with it 99 % of the sample
handbook's questions, in all phrasings, are supported, and four of five on anything else are not."""

LOOKED_AT = 8
"""Passages looked at to find out whether the corpus supports a question."""

CITING = frozenset(terms("handbook page source section document according chapter"))
"""Words with which an answer names its source; it need not have them from there."""

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


@dataclass(frozen=True, slots=True)
class Score:
    """A quality and what it is made of, each 0..1."""

    support: float
    rightly: int

    @property
    def quality(self) -> float:
        return round(self.support * self.rightly, 4)


def score(library: Library, message: str, text: str, source: Passage | None, decline: str) -> Score:
    """The score of the answer `text` from `source` to `message`; `decline` is how the release
    words a refusal."""
    if declines(text, decline):
        return Score(1.0, int(not in_corpus(library, message)))
    if source is None:
        return Score(0.0, int(in_corpus(library, message)))
    answerable = holds(library, message, source) >= SUPPORTED or in_corpus(library, message)
    return Score(support(library, message, text, source), int(answerable))


def support(library: Library, message: str, text: str, source: Passage) -> float:
    """The share of `message` that `source` holds, times the share of `text` it holds; 0..1."""
    said = set(terms(text)) - CITING
    known = [term for term in set(terms(message)) if library.knows(term)]
    return _share(library, known, source.terms) * _share(library, said, source.terms)


def declines(text: str, decline: str) -> bool:
    """Whether `text` refuses to answer, in the release's own words or in the usual ones."""
    said = _plain(text)
    own = _plain(decline)
    return bool(own and said.startswith(own)) or bool(DECLINING.match(said))


def in_corpus(library: Library, message: str) -> bool:
    """Whether any passage supports the question."""
    found = library.search(message, LOOKED_AT)
    return supported(library, message, [hit.passage for hit in found])


def supported(library: Library, message: str, passages: Sequence[Passage]) -> bool:
    """Whether one of `passages` supports the question."""
    wanted = set(terms(message))
    return any(_share(library, wanted, passage.terms) >= SUPPORTED for passage in passages)


def holds(library: Library, message: str, passage: Passage) -> float:
    """The share of `message` that `passage` holds, unknown words counted like the rarest."""
    return _share(library, set(terms(message)), passage.terms)


def _share(library: Library, wanted: Collection[str], held: Collection[str]) -> float:
    total = sum(map(library.square, wanted))
    return sum(library.square(term) for term in wanted if term in held) / total if total else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
