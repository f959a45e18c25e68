"""What is being asked: from the messages of a chat to the query for the handbook's index.

The whole last user message is the query, without the asides it holds in quotes or brackets and
without the words that only make it polite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_service.provider import Turn

WORDS = "hi hello hey dear please kindly thanks thank cheers regards sorry bye goodbye"
POLITE = frozenset(WORDS.split())
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
MARK = re.compile(r'["“”()\[\]]')


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    sentences = SENTENCE_END.split(last_user_message(turns))
    words = " ".join(without_aside(sentence) for sentence in sentences).split()
    return " ".join(word for word in words if not is_polite(word))


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def is_polite(word: str) -> bool:
    """Whether `word` says nothing about the subject."""
    return word.strip(".,;:!?").lower() in POLITE


def without_aside(sentence: str) -> str:
    """`sentence` without what it says in quotes or in brackets."""
    if not MARK.search(sentence):
        return sentence
    before, _aside, after = MARK.split(sentence)
    return f"{before.strip()} {after.strip()}"
