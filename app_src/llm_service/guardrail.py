"""What keeps an answer from going out: two checks that cost microseconds and claim no more.

An empty answer is replaced by a sentence that says so, and an answer that recites the instructions
(eight of their words in a row) by the prompt's refusal. Limits on what comes in are the API's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from llm_service.prompts import Prompt
from llm_service.provider import Answer

RECITED = 8
"""Words of the instructions in a row that are no chance."""
NOTHING_SAID = "No answer came out of that. Please ask again."
WORD = re.compile(r"\w+")

Reason = Literal["empty", "prompt_leak", "input_limit"]


class Guardrail:
    """Checks answers given under `prompt`."""

    def __init__(self, prompt: Prompt) -> None:
        self._decline = prompt.decline
        self._instructions = set(_runs(prompt.system)) - set(_runs(prompt.decline))

    def check(self, answer: Answer) -> tuple[Answer, Reason | None]:
        """The answer as it may go out, and why it is not the one that was given."""
        if not answer.text.strip():
            return replace(answer, text=NOTHING_SAID), "empty"
        if not self._instructions.isdisjoint(_runs(answer.text)):
            return replace(answer, text=self._decline, sources=()), "prompt_leak"
        return answer, None


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    """Every RECITED words of `text` in a row."""
    words = WORD.findall(text.lower())
    return zip(*(words[i:] for i in range(RECITED)), strict=False)
