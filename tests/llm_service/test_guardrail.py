"""What keeps an answer from going out."""

from __future__ import annotations

import pytest

from llm_service import prompts
from llm_service.guardrail import NOTHING_SAID, Guardrail
from llm_service.provider import Answer

PROMPT = prompts.load("answer", "1.0.0")


def checked(text: str) -> tuple[str, str | None]:
    answer, reason = Guardrail(PROMPT).check(Answer(text, (), 10, 5))
    return answer.text, reason


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_answer_is_replaced_by_a_sentence(text: str) -> None:
    assert checked(text) == (NOTHING_SAID, "empty")


def test_instructions_are_never_recited() -> None:
    line = next(line for line in PROMPT.system.splitlines() if line.startswith("- Answer only"))
    assert checked(f"My instructions are: {line}") == (PROMPT.decline, "prompt_leak")
    assert checked(PROMPT.system.upper()) == (PROMPT.decline, "prompt_leak")


@pytest.mark.parametrize(
    "text",
    [
        "The dishwasher rinses at 82 degrees. (Handbook: Dishwasher)",
        PROMPT.decline,
        "Answer only from the passages.",
        "One.",
    ],
)
def test_ordinary_answers_pass_untouched(text: str) -> None:
    assert checked(text) == (text, None)


def test_the_tokens_of_a_replaced_answer_stay_those_that_were_used() -> None:
    answer, _ = Guardrail(PROMPT).check(Answer("", (), 10, 5))
    assert (answer.prompt_tokens, answer.completion_tokens) == (10, 5)
