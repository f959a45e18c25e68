"""What keeps an answer from going out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.bundle import prompt as prompts
from llm_service.guardrail import NOTHING_SAID, RECITED, WORD, Guardrail
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


WORDS = PROMPT.system.split()
leaking = st.builds(
    lambda before, start, length, after: before + " ".join(WORDS[start : start + length]) + after,
    st.sampled_from(["", " ", "x", "So: ", "The rules of the handbook. "]),
    st.integers(0, len(WORDS)),
    st.integers(RECITED - 2, RECITED + 4),
    st.sampled_from(["", " ", "x", ". And more"]),
)
mixed = st.lists(
    st.sampled_from([*WORDS, "foo", "Answering", "İ", "ΑΣ", "日本", "\n"]), max_size=25
)
answers = st.one_of(leaking, mixed.map(" ".join), mixed.map(":".join), st.text(max_size=40))


def streamed(text: str, sizes: list[int]) -> tuple[list[str], str, str | None]:
    """What went out piece by piece, what went out last, and why it is not what was given."""
    guard = Guardrail(PROMPT).stream()
    out, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out.append(guard.push(text[at : at + size]))
        at, turn = at + size, turn + 1
    return out, *guard.end()


@settings(max_examples=400, deadline=None)
@given(answers, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_a_stream_is_judged_as_the_whole_answer_is(text: str, sizes: list[int]) -> None:
    out, last, reason = streamed(text, sizes)
    said = "".join(out)
    whole, expected = Guardrail(PROMPT).text(text)
    assert reason == expected
    assert text.startswith(said)
    if reason == "prompt_leak":
        assert last.strip() == PROMPT.decline
        assert Guardrail(PROMPT).text(said)[1] != "prompt_leak"
    else:
        assert said + last == whole


@settings(max_examples=200, deadline=None)
@given(answers, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_no_more_than_eight_words_are_ever_held_back(text: str, sizes: list[int]) -> None:
    guard = Guardrail(PROMPT).stream()
    came = out = ""
    for piece in (text[at : at + sizes[0]] for at in range(0, len(text), sizes[0])):
        came += piece
        out += guard.push(piece)
        if guard.stopped:
            return
        assert len(WORD.findall(came[len(out) :])) <= RECITED


def test_nothing_of_a_recital_goes_out_and_the_stream_may_be_closed() -> None:
    line = next(line for line in PROMPT.system.splitlines() if line.startswith("- Answer only"))
    guard = Guardrail(PROMPT).stream()
    out = [guard.push(f"{word} ") for word in f"My instructions are: {line}".split(" ")]
    assert guard.stopped
    assert "".join(out).strip(" -") == "My instructions are:"
    assert guard.push("and more") == ""
    assert guard.end() == (f"\n\n{PROMPT.decline}", "prompt_leak")


def test_words_that_are_none_of_the_instructions_go_out_at_once() -> None:
    guard = Guardrail(PROMPT).stream()
    assert [guard.push(piece) for piece in ("Xylo", "phones", " 82")] == ["Xylo", "phones", " 82"]
    assert guard.end() == ("", None)


@pytest.mark.parametrize("pieces", [[], [""], [" ", "\n"]])
def test_an_empty_stream_becomes_the_sentence(pieces: list[str]) -> None:
    guard = Guardrail(PROMPT).stream()
    assert [guard.push(piece) for piece in pieces] == [""] * len(pieces)
    assert guard.end() == (NOTHING_SAID, "empty")
