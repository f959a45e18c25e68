"""The corpus ready for questions: a BM25 index, and what each term is worth in it.

BM25 by `bm25s`: scores are computed when the index is built, so that a query is a sum over a few
sparse columns (0.06 ms on 400 documents of 120 words). Its import costs 0.1 s and 15 MB, mostly
numpy's, which only a process with a corpus pays.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_service.corpus import Document
from llm_service.text import count_tokens, sentences, terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage and the terms it holds."""

    text: str
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Passage:
    """A document as the answerer reads it; `terms` are those of title and text, `subject` those of
    the title: what every sentence in it is about."""

    document: Document
    terms: frozenset[str]
    subject: frozenset[str]
    sentences: tuple[Sentence, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found for a query; `score` is BM25's, higher is better, only comparable within
    one query."""

    passage: Passage
    score: float


class Library:
    """Searches the documents; immutable once built, so every request may share it."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.passages = [_passage(document) for document in documents]
        bags = [terms(f"{document.title} {document.text}") for document in documents]
        self._idf = _idf(bags)
        self.rarest = max(self._idf.values(), default=0.0)
        self._squares = {term: idf * idf for term, idf in self._idf.items()}
        self._rarest_square = self.rarest**2
        self._index = _indexed(bags)

    def __len__(self) -> int:
        return len(self.passages)

    def search(self, query: str, limit: int) -> list[Hit]:
        """Up to `limit` passages that share a term with `query`, best first, ties in corpus
        order."""
        return [Hit(self.passages[i], score) for i, score in self.ranked(query, limit)]

    def ranked(self, query: str, limit: int) -> list[tuple[int, float]]:
        """As `search`, by the documents' numbers in the corpus."""
        known = [term for term in terms(query) if term in self._idf]
        if not known:
            return []
        scores = self._index.get_scores(known)
        order = _best(scores, limit)
        return [(int(i), float(scores[i])) for i in order if scores[i] > 0]

    def knows(self, term: str) -> bool:
        """Whether any document holds `term`."""
        return term in self._idf

    def rarity(self, term: str) -> float:
        """The inverse document frequency of `term` as a share of the rarest's; 1 if unknown."""
        return self._idf.get(term, self.rarest) / self.rarest if self.rarest else 1.0

    def square(self, term: str) -> float:
        """The squared inverse document frequency of `term`; for an unknown one the rarest's."""
        return self._squares.get(term, self._rarest_square)

    def weight(self, some: Iterable[str]) -> float:
        """The summed inverse document frequency of the known terms among `some`."""
        return sum(self._idf.get(term, 0.0) for term in some)

    def share(self, wanted: Collection[str], held: Collection[str]) -> float:
        """How much of the weight of `wanted` is in `held`, 0..1; 0 if nothing wanted is known."""
        total = self.weight(wanted)
        return self.weight(term for term in wanted if term in held) / total if total else 0.0


def _indexed(bags: Sequence[Sequence[str]]) -> Any:
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
    index = bm25s.BM25()
    index.index(bags, show_progress=False)
    return index


def _best(scores: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """The places of the `limit` highest scores, best first, ties in order of place."""
    import numpy as np

    if limit >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, -limit)[-limit]
    above = np.flatnonzero(scores >= least)
    return above[np.argsort(-scores[above], kind="stable")][:limit]


def _passage(document: Document) -> Passage:
    parts = tuple(Sentence(part, frozenset(terms(part))) for part in sentences(document.text))
    held = frozenset(terms(f"{document.title} {document.text}"))
    subject = frozenset(terms(document.title))
    return Passage(document, held, subject, parts, count_tokens(document.text))


def _idf(bags: Sequence[Sequence[str]]) -> dict[str, float]:
    """Robertson and Sparck Jones' weight with Lucene's `1 +`, which keeps it above zero."""
    frequency = Counter(term for bag in bags for term in set(bag))
    return {
        term: math.log(1 + (len(bags) - count + 0.5) / (count + 0.5))
        for term, count in frequency.items()
    }
