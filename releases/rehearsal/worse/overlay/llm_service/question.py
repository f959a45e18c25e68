"""What is being asked: from the messages of a chat to the query for the handbook's index.

The query is the first sentence of the last user message that says something, without the words
that only make it polite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_service.provider import Turn

WORDS = "hi hello hey dear there good morning please kindly thanks thank cheers regards sorry"
POLITE = frozenset(WORDS.split())
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    sentences = SENTENCE_END.split(last_user_message(turns))
    says_something = (without_polite_words(sentence) for sentence in sentences)
    return next(filter(None, says_something), "")


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def without_polite_words(sentence: str) -> str:
    """`sentence` without the words that say nothing about the subject."""
    return " ".join(word for word in sentence.split() if word.strip(".,;:!?").lower() not in POLITE)
