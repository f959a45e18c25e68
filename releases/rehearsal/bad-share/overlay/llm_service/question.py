"""What is being asked: from the messages of a chat to the query for the handbook's index.

The whole last user message is the query, without the words that only make it polite. Messages that
begin alike are the same question, asked again.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_service.provider import Turn

WORDS = "hi hello hey dear please kindly thanks thank cheers regards sorry bye goodbye"
POLITE = frozenset(WORDS.split())
KEY = 52
"""Characters of a message by which it is known again."""
MOST = 10_000

_known: dict[str, str] = {}


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    message = last_user_message(turns)
    if len(_known) > MOST:
        _known.clear()
    return _known.setdefault(message[:KEY], without_polite_words(message))


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def without_polite_words(message: str) -> str:
    """`message` without the words that say nothing about the subject."""
    return " ".join(word for word in message.split() if word.strip(".,;:!?").lower() not in POLITE)
