"""The extractive answerer."""

from __future__ import annotations

from llm_service import sample
from llm_service.bundle import prompt as prompts
from llm_service.corpus import Document
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.provider import Answer, Turn

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


def test_the_sentence_that_answers_is_chosen(provider: EmbeddedProvider) -> None:
    one = EmbeddedProvider(SMALL, prompts.load("answer", "1.0.0"), sentences=1)
    answer = reply(one, "At how many degrees does the dishwasher rinse?")
    assert answer.text == "The dishwasher rinses at 82 degrees. (Handbook: Dishwasher)"


def test_a_message_of_pleasantries_is_declined(provider: EmbeddedProvider) -> None:
    answer = reply(provider, "Hello, thank you so much!")
    assert (answer.text, answer.sources) == ("I cannot find that in the handbook.", ())


def test_an_answer_tells_the_version_of_what_answers(provider: EmbeddedProvider) -> None:
    answers = [reply(provider, question) for question in ("Who is the head roaster?", "Hello!")]
    assert {answer.fingerprint for answer in answers} == {"extractive-1"}
