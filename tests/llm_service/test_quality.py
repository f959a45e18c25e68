"""The score of an answer: supported by its source, and rightly given or rightly declined."""

from __future__ import annotations

import itertools

import pytest

from llm_service import sample
from llm_service.corpus import Document
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library, Passage
from llm_service.provider import Turn
from llm_service.quality import declines, in_corpus, score, support, supported

DECLINE = "I cannot find that in the handbook."
SMALL = Library(
    [
        Document("dish", "Dishwasher", "The dishwasher rinses at 82 degrees. Salt is added daily."),
        Document("leave", "Annual leave", "Everyone has 28 days of leave. Ask your manager."),
        Document("till", "Till", "The till closes at 18:00. Count the float twice."),
    ]
)
DISH, LEAVE, TILL = SMALL.passages
RINSE = "How many degrees does the dishwasher rinse at?"
RIGHT = "The dishwasher rinses at 82 degrees."
STRANGE = (
    "Who was the first astronaut on the moon of Jupiter?",
    "Explain quantum entanglement to me",
    "Who wrote Hamlet?",
    "What is the capital of Australia?",
)


def quality(message: str, text: str, source: Passage | None) -> float:
    return score(SMALL, message, text, source, DECLINE).quality


def test_the_words_of_the_page_that_the_question_is_about_are_worth_1() -> None:
    assert quality(RINSE, RIGHT, DISH) == 1
    assert quality(RINSE, f"{RIGHT} (Handbook: Dishwasher)", DISH) == 1


def test_a_page_about_something_else_is_worth_nothing() -> None:
    assert quality(RINSE, LEAVE.document.text, LEAVE) == 0
    assert quality(RINSE, TILL.document.text, TILL) == 0


@pytest.mark.parametrize("text", ["", "   ", "...", "It is what it is."])
def test_an_answer_that_says_nothing_is_worth_nothing_whatever_source_it_names(text: str) -> None:
    assert quality(RINSE, text, DISH) == 0


def test_what_the_source_does_not_say_is_not_supported() -> None:
    scores = [
        support(SMALL, RINSE, text, DISH)
        for text in (RIGHT, f"{RIGHT} Everyone has 28 days.", "Everyone has 28 bananas.")
    ]
    assert scores == sorted(scores, reverse=True)
    assert (scores[0], scores[2]) == (1, 0)
    assert 0 < scores[1] < 1


def test_support_falls_with_each_part_of_the_question_that_the_source_lacks() -> None:
    scores = [
        support(SMALL, text, RIGHT, DISH)
        for text in ("dishwasher salt", "dishwasher salt leave", "dishwasher leave float")
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] > scores[2]


def test_words_that_no_document_knows_do_not_change_support() -> None:
    plain = support(SMALL, "dishwasher leave", RIGHT, DISH)
    assert support(SMALL, "dishwasher leave, asks Xanthippe", RIGHT, DISH) == plain


def test_declining_what_the_corpus_answers_is_worth_nothing() -> None:
    assert quality(RINSE, DECLINE, None) == 0
    assert quality(RINSE, DECLINE, DISH) == 0


def test_declining_what_the_corpus_does_not_answer_is_worth_1() -> None:
    assert [quality(question, DECLINE, None) for question in STRANGE] == [1] * 4


def test_answering_what_the_corpus_does_not_answer_is_worth_nothing() -> None:
    assert [quality(question, RIGHT, DISH) for question in STRANGE] == [0] * 4
    assert quality(RINSE, RIGHT, None) == 0


@pytest.mark.parametrize(
    "text",
    [
        DECLINE,
        "i cannot  find that in the handbook. Try elsewhere.",
        "I'm sorry, but I don't know.",
        "Sorry, I can’t help with that.",
        "Unfortunately I was unable to find it.",
        "I cannot find",
        "The handbook does not say which bank holds the accounts.",
        "Sorry, the provided context doesn't mention a price.",
        "There is no information about profits in what I was given.",
        "That is not covered in the handbook.",
    ],
)
def test_refusals_are_known_by_their_words(text: str) -> None:
    assert declines(text, DECLINE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        RIGHT,
        "You cannot rinse at 90 degrees.",
        "No.",
        "The handbook does not allow phones at the counter.",
        "It is not covered by the warranty.",
        "There is no break before noon.",
    ],
)
def test_answers_are_no_refusals(text: str) -> None:
    assert not declines(text, DECLINE)
    assert not declines(text, "")


def test_the_sample_questions_are_in_the_corpus_and_strangers_questions_are_not(
    library: Library,
) -> None:
    golden, phrasings = sample.load_golden(), sample.load_phrasings()
    known = sum(
        phrasing.weight / len(golden) * in_corpus(library, phrasing.phrase(item.question))
        for item, phrasing in itertools.product(golden, phrasings)
    )
    assert known >= 0.98
    assert not any(in_corpus(library, question) for question in STRANGE)


def test_retrieval_hits_if_one_of_the_passages_supports_the_question() -> None:
    assert supported(SMALL, RINSE, [LEAVE, DISH])
    assert not supported(SMALL, RINSE, [LEAVE, TILL])
    assert not supported(SMALL, RINSE, [])


def test_an_answer_to_another_question_is_clearly_worse(library: Library) -> None:
    golden = sample.load_golden()
    passages = {passage.document.id: passage for passage in library.passages}
    own: list[float] = []
    other: list[float] = []
    for item, stranger in itertools.pairwise(golden):
        if item.document_id != stranger.document_id:
            for scores, asked in ((own, item), (other, stranger)):
                source = passages[asked.document_id]
                text = source.document.text
                scores.append(score(library, item.question, text, source, DECLINE).quality)
    assert sum(own) / len(own) > 0.75
    assert sum(other) / len(other) < 0.25


@pytest.mark.parametrize("greeting", ["Hi there! ", "Good morning. ", "Hello, "])
def test_a_greeting_hardly_moves_quality(provider: EmbeddedProvider, greeting: str) -> None:
    question = "At what temperature does the undercounter dishwasher rinse?"
    scores = []
    for message in (question, greeting + question):
        answer = provider.reply([Turn("user", message)])
        source = answer.sources[0].passage
        scores.append(score(provider.library, message, answer.text, source, DECLINE).quality)
    assert abs(scores[0] - scores[1]) < 0.1
