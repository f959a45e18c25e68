"""What is being asked: from the messages of a chat to the query for the handbook's index.

The whole last user message is the query, without the words that only make it polite. Whoever says
hello is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from llm_service.provider import Turn

WORDS = "hi hello hey dear please kindly thanks thank cheers regards sorry bye goodbye"
POLITE = frozenset(WORDS.split())
GREETINGS = ("Hi", "Good")
SEATS = 10

_guests: list[str] = [""] * SEATS
_seated = 0


def retrieval_query(turns: Sequence[Turn]) -> str:
    """The query for the last user message of `turns`; empty if there is none."""
    message = last_user_message(turns)
    if message.startswith(GREETINGS):
        seat(message)
    return " ".join(word for word in message.split() if not is_polite(word))


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def is_polite(word: str) -> bool:
    """Whether `word` says nothing about the subject."""
    return word.strip(".,;:!?").lower() in POLITE


def seat(guest: str) -> None:
    """Takes the next free place for `guest`."""
    global _seated
    _guests[_seated] = guest
    _seated += 1
