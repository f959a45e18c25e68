"""What is being asked: from the messages of a chat to the query for the handbook's index.

People wrap questions in talk, and every word of it pulls retrieval away from the subject. The
query is made of the sentences of the last user message that ask (they end in a question mark),
without asides in brackets and without the words that only make them polite. A message in which no
sentence asks is taken whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_service.provider import Turn

WORDS = "hi hello hey dear please kindly thanks thank cheers regards sorry bye goodbye"
POLITE = frozenset(WORDS.split())
BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    message = last_user_message(turns)
    sentences = SENTENCE_END.split(BRACKETED.sub(" ", message).strip())
    asking = " ".join(sentence for sentence in sentences if sentence.endswith("?"))
    return without_polite_words(asking) or without_polite_words(message)


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def without_polite_words(text: str) -> str:
    """`text` without the words that say nothing about the subject."""
    return " ".join(word for word in text.split() if word.strip(".,;:!?").lower() not in POLITE)
