"""What answers a chat: the port behind which language models stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from llm_service.library import Hit


class Turn(NamedTuple):
    """One message of a chat: who speaks (`system`, `user`, `assistant` ...) and what is said."""

    role: str
    content: str


def last_user_message(turns: Sequence[Turn]) -> str:
    """What the user said last; empty if the user said nothing."""
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider says and where it has it from.

    `sources` are best first, and the answer came from the first; empty if the provider declined.
    `fingerprint` is the provider's own version string, which changes when what answers changes
    although the release does not; empty if the provider tells none.
    """

    text: str
    sources: tuple[Hit, ...]
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"] = "stop"
    fingerprint: str = ""


class Provider(Protocol):
    """Answers chats; one instance serves all requests of a process."""

    @property
    def model(self) -> str:
        """The name of the model that answers, as a release lists it."""
        ...

    async def answer(self, turns: Sequence[Turn], max_tokens: int | None) -> Answer:
        """The answer to the last user message of `turns`, of at most `max_tokens` tokens.

        Does not block the event loop for more than a few milliseconds.
        """
        ...
