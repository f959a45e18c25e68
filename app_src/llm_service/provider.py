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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider says, where it has it from, and how well that source covers the question.

    `quality` is 0..1 (see `llm_service.quality`); `sources` are best first, and the answer came
    from the first; empty if the provider declined.
    """

    text: str
    sources: tuple[Hit, ...]
    quality: float
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"] = "stop"


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
