"""What makes a strict answerer decline, and whether an answer is grounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llm_service import sample
from llm_service.corpus import Document
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Hit, Library
from llm_service.provider import Turn
from llm_service.retrieval import grounded, kinds
from llm_service.retrieval.doubt import FIGURE, KIND, NAME, NEGATION, OPPOSITE, RARE, doubt
from llm_service.retrieval.opposites import contradicts

SAID = "Rollo was the first ruler of Normandy and began a dynasty in 911."
LIBRARY = Library(
    [
        Document("rollo", "Normandy", f"{SAID} He swore fealty to King Charles."),
        Document("tea", "Tea", "Green tea steeps for two minutes."),
    ]
)
PAGE = LIBRARY.passages[0]


@pytest.mark.parametrize(
    ("question", "weight"),
    [
        ("Who was the first ruler of Normandy?", 0.0),
        ("Who was not the first ruler of Normandy?", NEGATION),
        ("Who was the last ruler of Normandy?", OPPOSITE),
        ("When did Rollo rule Normandy first, in 911?", KIND),
        ("Was Rollo the first ruler of Normandy in 912?", FIGURE),
    ],
)
def test_each_reason_has_its_weight(question: str, weight: float) -> None:
    rare = doubt(LIBRARY, question, SAID, PAGE) - weight
    assert -1e-9 <= rare <= RARE + 1e-9


def test_a_name_that_the_page_does_not_have_is_a_reason() -> None:
    with_name = doubt(LIBRARY, "Was Harald the first ruler of Normandy?", SAID, PAGE)
    without = doubt(LIBRARY, "Was harald the first ruler of Normandy?", SAID, PAGE)
    assert with_name - without == pytest.approx(NAME)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("When was it built?", "time"),
        ("In what year did it end?", "time"),
        ("How many pages are there?", "number"),
        ("Who wrote it?", "person"),
        ("Where is it?", "place"),
        ("What is it?", ""),
    ],
)
def test_a_question_tells_what_kind_it_asks_for(question: str, kind: str) -> None:
    assert kinds.expected(question) == kind


def test_a_thing_that_the_question_names_itself_is_no_answer() -> None:
    assert kinds.has("time", "It was built in 1066.", "When was it built?")
    assert not kinds.has("time", "It was built in 1066.", "When in 1066 was it built?")
    assert kinds.has("person", "It was built by William.", "Who built it?")
    assert not kinds.has("person", "William built it.", "Who is William?")


@pytest.mark.parametrize(
    ("question", "said", "yes"),
    [
        ("the largest town", "the smallest town", True),
        ("the largest town", "the largest and the smallest town", False),
        ("an indirect route", "a direct route", True),
        ("familiar words", "unfamiliar words", True),
        ("the first town", "the first town", False),
    ],
)
def test_opposites_contradict(question: str, said: str, yes: bool) -> None:
    assert contradicts(question, said) is yes


def test_a_strict_answerer_declines_what_it_doubts(provider: EmbeddedProvider) -> None:
    lenient = replace(provider, library=LIBRARY, sentences=1)
    asked = [Turn("user", "Who was never the first ruler of Normandy?")]
    assert lenient.reply(asked).sources
    assert not replace(lenient, strict=True).reply(asked).sources
    assert replace(lenient, strict=True, doubted=9.0).reply(asked).sources


def test_a_strict_answerer_still_answers_the_golden_set(provider: EmbeddedProvider) -> None:
    golden, strict = sample.load_golden(), replace(provider, strict=True)
    texts = [strict.reply([Turn("user", item.question)]).text for item in golden]
    right = [item.answer.lower() in text.lower() for item, text in zip(golden, texts, strict=True)]
    assert sum(right) / len(golden) >= 0.98


def test_an_aside_is_no_reason_to_doubt() -> None:
    asked = "Who was the first ruler of Normandy?"
    plain = doubt(LIBRARY, asked, SAID, PAGE)
    for message in (f"I never found it. {asked}", f"{asked[:-1]} (not that Harald asked)?"):
        assert doubt(LIBRARY, message, SAID, PAGE) == plain


HITS = [Hit(PAGE, 1.0)]


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        (SAID, True),
        ("According to the handbook, Rollo was the first ruler of Normandy.", True),
        ("", True),
        ("Rollo was the first ruler of Normandy, in 912.", False),
        ("Green tea steeps for two minutes.", False),
    ],
)
def test_an_answer_is_grounded_if_the_passages_hold_its_numbers_and_words(
    text: str, yes: bool
) -> None:
    assert grounded(text, HITS) is yes


def test_without_passages_nothing_that_claims_something_is_grounded() -> None:
    assert not grounded(SAID, [])
    assert grounded("It is what it is.", [])
