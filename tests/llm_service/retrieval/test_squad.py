"""SQuAD 2.0: whole paragraphs, real questions, half of them without an answer."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from llm_service import corpus
from llm_service.embedded import EmbeddedProvider
from llm_service.library import Library
from llm_service.provider import Turn
from llm_service.retrieval import Index, grounded, measure
from llm_service.retrieval.embedder import LocalEmbedder
from llm_service.retrieval.measure import Labelled
from llm_service.retrieval.vectors import compute

EVERY = 8
"""Of the articles' pages, for the test with embeddings."""


@pytest.fixture(scope="module")
def pages(squad: Path) -> Library:
    return Library(corpus.load(str(squad / "documents.jsonl")))


@pytest.fixture(scope="module")
def questions(squad: Path) -> list[Labelled]:
    return measure.read(squad / "questions.jsonl")


async def test_bm25_alone_has_the_page_among_the_first_three(
    pages: Library, questions: list[Labelled]
) -> None:
    found = await measure.hits(questions, measure.of_index(Index(pages, "")))
    assert found.count == 1299
    assert found.at[3] >= 0.86


async def test_hybrid_beats_bm25_on_a_part_of_the_pages(
    pages: Library, questions: list[Labelled], embedder: LocalEmbedder
) -> None:
    some = Library([passage.document for passage in pages.passages[::EVERY]])
    here = {passage.document.id for passage in some.passages}
    asked = [each for each in questions if each.answerable and each.document_id in here]
    hybrid = Index(some, "", embedder, await compute(some, embedder))
    both = [await measure.hits(asked, measure.of_index(i)) for i in (Index(some, ""), hybrid)]
    assert both[1].at[3] >= 0.95
    assert both[1].at[1] > both[0].at[1] + 0.02
    assert both[1].mean_reciprocal_rank > both[0].mean_reciprocal_rank + 0.02


def test_three_refusals_in_four_of_a_strict_answerer_are_right(
    pages: Library, questions: list[Labelled], provider: EmbeddedProvider
) -> None:
    lenient = replace(provider, library=pages, sentences=1)
    found, some = [], questions[::3]
    for each in (lenient, replace(lenient, strict=True)):
        said = [not each.reply([Turn("user", asked.question)]).sources for asked in some]
        pairs = zip(some, said, strict=True)
        found.append(measure.refusals((asked.answerable, no) for asked, no in pairs))
    plain, strict = found
    assert strict.precision >= 0.80
    assert strict.recall >= 0.25 > 5 * plain.recall
    assert strict.false_alarms <= 0.08


def test_an_answer_from_another_page_is_not_grounded_there(
    pages: Library, questions: list[Labelled], provider: EmbeddedProvider
) -> None:
    answerer = replace(provider, library=pages, sentences=1)
    answers = [answerer.reply([Turn("user", asked.question)]) for asked in questions[::10]]
    given = [answer for answer in answers if answer.sources]
    own = [grounded(answer.text, answer.sources[:1]) for answer in given]
    other = [
        grounded(answer.text, stranger.sources[:1])
        for answer, stranger in itertools.pairwise(given)
        if answer.sources[0].passage is not stranger.sources[0].passage
    ]
    assert all(own)
    assert sum(other) / len(other) < 0.02
