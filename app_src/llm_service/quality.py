"""How good an answer is, without a person to ask: is the question covered by the source?

The score is the share of the question's weight that the source passage holds. The question is the
user's message as it was written, never the query that retrieval made of it: a release that
misreads questions would otherwise mark its own homework. Words that no document knows are left
out (names, typing errors), and stop words and greetings are no terms at all. Terms weigh by the
square of their inverse document frequency: what a message is about are its rare words, and a
preamble in everyday words should not count like them.
"""

from __future__ import annotations

from llm_service.library import Library, Passage
from llm_service.text import terms

POOR_BELOW = 0.5
"""An answer with a lower quality counts as poor."""


def quality(library: Library, message: str, source: Passage | None) -> float:
    """The share of `message` that `source` covers, 0..1; 0 without a source."""
    if source is None:
        return 0.0
    wanted = set(terms(message))
    total = sum(library.weight([term]) ** 2 for term in wanted)
    held = sum(library.weight([term]) ** 2 for term in wanted if term in source.terms)
    return round(held / total, 4) if total else 0.0
