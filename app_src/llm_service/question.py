"""What is being asked: from the messages of a chat to the query for the handbook's index.

The whole last user message is the query, without the words that only make it polite.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_service.provider import Turn, last_user_message

WORDS = "hi hello hey dear please kindly thanks thank cheers regards sorry bye goodbye"
POLITE = frozenset(WORDS.split())


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    return " ".join(word for word in last_user_message(turns).split() if not is_polite(word))


def is_polite(word: str) -> bool:
    """Whether `word` says nothing about the subject."""
    return word.strip(".,;:!?").lower() in POLITE
