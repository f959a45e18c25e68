"""The extractive answerer and its quality score."""

from __future__ import annotations

import itertools

import pytest

from llm_service import prompts, sample
from llm_service.corpus import Document
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.provider import Answer, Turn
from llm_service.quality import POOR_BELOW, quality

SMALL = Library(
    [
        Document("dish", "Dishwasher", "The dishwasher rinses at 82 degrees. Salt is added daily."),
        Document("leave", "Annual leave", "Everyone has 28 days of leave. Ask your manager."),
        Document("till", "Till", "The till closes at 18:00. Count the float twice."),
    ]
)


def reply(provider: EmbeddedProvider, message: str) -> Answer:
    return provider.reply([Turn("user", message)])


def test_golden_questions_are_answered_from_their_documents(provider: EmbeddedProvider) -> None:
    golden = sample.load_golden()
    answers = [reply(provider, item.question) for item in golden]
    right = [item.answer.lower() in a.text.lower() for item, a in zip(golden, answers, strict=True)]
    assert sum(right) / len(golden) >= 0.95
    poor = [answer.quality < POOR_BELOW for answer in answers]
    assert sum(poor) / len(golden) < 0.05


def test_the_sentence_that_answers_is_chosen(provider: EmbeddedProvider) -> None:
    one = EmbeddedProvider(SMALL, prompts.load("answer", "1.0.0"), sentences=1)
    answer = reply(one, "At how many degrees does the dishwasher rinse?")
    assert answer.text == "The dishwasher rinses at 82 degrees. (Handbook: Dishwasher)"


def test_a_message_of_pleasantries_is_declined(provider: EmbeddedProvider) -> None:
    answer = reply(provider, "Hello, thank you so much!")
    assert (answer.text, answer.sources) == ("I cannot find that in the handbook.", ())


def test_quality_is_the_share_of_the_question_that_the_source_holds() -> None:
    dish, leave, till = SMALL.passages
    message = "How many degrees does the dishwasher rinse at?"
    assert quality(SMALL, message, dish) == 1
    assert quality(SMALL, message, leave) == quality(SMALL, message, till) == 0


def test_quality_falls_with_each_part_of_the_question_that_is_missing() -> None:
    dish = SMALL.passages[0]
    scores = [
        quality(SMALL, text, dish)
        for text in ("dishwasher salt", "dishwasher salt leave", "dishwasher leave float")
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[1] > scores[2]


def test_words_that_no_document_knows_do_not_change_quality() -> None:
    dish = SMALL.passages[0]
    plain = quality(SMALL, "dishwasher leave", dish)
    assert quality(SMALL, "dishwasher leave, asks Xanthippe", dish) == plain


def test_no_source_is_no_quality() -> None:
    assert quality(SMALL, "dishwasher", None) == 0


def test_an_answer_to_another_question_is_clearly_worse(library: Library) -> None:
    golden = sample.load_golden()
    own, other = [], []
    passages = {passage.document.id: passage for passage in library.passages}
    for item, stranger in itertools.pairwise(golden):
        if item.document_id != stranger.document_id:
            own.append(quality(library, item.question, passages[item.document_id]))
            other.append(quality(library, item.question, passages[stranger.document_id]))
    assert sum(own) / len(own) > 0.75
    assert sum(other) / len(other) < 0.25


@pytest.mark.parametrize("greeting", ["Hi there! ", "Good morning. ", "Hello, "])
def test_a_greeting_hardly_moves_quality(provider: EmbeddedProvider, greeting: str) -> None:
    question = "At what temperature does the undercounter dishwasher rinse?"
    plain, greeted = reply(provider, question), reply(provider, greeting + question)
    assert abs(plain.quality - greeted.quality) < 0.1
    assert plain.text == greeted.text
