"""Whether passages support an answer: its numbers and its rare words have to be in them.

An answer that is made up shows in what it adds: a number, a name, a term that the passages do not
hold. Words that name the source ("according to the handbook") may be added. What this cannot see
is an answer that puts the passages' own words together wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_service.library import Hit
from llm_service.quality import CITING
from llm_service.text import terms

NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
HELD = 0.75
"""The least share of an answer's terms that the passages must hold."""


def grounded(text: str, hits: Sequence[Hit]) -> bool:
    """Whether the passages of `hits` hold every number of `text` and most of its terms.

    True for an answer without numbers or terms: it claims nothing.
    """
    said = set(terms(text)) - CITING
    numbers = set(NUMBER.findall(text))
    if not said and not numbers:
        return True
    shown = [f"{hit.passage.document.title} {hit.passage.document.text}" for hit in hits]
    if not numbers <= {number for page in shown for number in NUMBER.findall(page)}:
        return False
    held = frozenset[str]().union(*(hit.passage.terms for hit in hits))
    return len(said & held) >= HELD * len(said)
