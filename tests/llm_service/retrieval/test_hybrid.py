"""BM25 and similarity together, and what is left when the vectors are away."""

from __future__ import annotations

import numpy as np
import pytest

from llm_service.corpus import Document
from llm_service.library import Library
from llm_service.retrieval import Index, LocalEmbedder, Retrieval
from llm_service.retrieval.index import LEAST, LEXICAL, fuse
from llm_service.retrieval.vectors import Vectors, VectorsError, address, coarse, compute


def ids(hits: object) -> list[str]:
    assert isinstance(hits, list)
    return [hit.passage.document.id for hit in hits]


def test_scores_add_up_and_ties_stand_in_corpus_order() -> None:
    fused = fuse([(2, 4.0), (0, 2.0)], {0: 0.6, 1: 0.65, 2: 0.2, 3: 0.65, 4: LEAST - 0.01})
    assert [page for page, _ in fused] == [0, 1, 3, 2]
    assert dict(fused)[2] == pytest.approx(LEXICAL + 0.2)
    assert dict(fused)[0] == pytest.approx(LEXICAL / 2 + 0.6)


def test_a_page_without_a_shared_term_has_to_be_similar() -> None:
    assert fuse([], {0: LEAST, 1: LEAST - 0.001}) == [(0, LEAST)]


async def test_bm25_alone_finds_no_synonym_and_hybrid_does(
    documents: list[Document], embedder: LocalEmbedder
) -> None:
    library = Library(documents)
    vectors = await compute(library, embedder)
    hybrid = Index(library, "", embedder, vectors)
    question = "vacation entitlement of employees"
    assert Index(library, "").method == "bm25"
    assert await Index(library, "").search(question, 1) == []
    assert hybrid.method == "hybrid"
    assert ids(await hybrid.search(question, 1)) == ["leave"]


async def test_an_empty_query_finds_nothing(documents: list[Document], bag: object) -> None:
    library = Library(documents)
    vectors = await compute(library, bag)  # type: ignore[arg-type]
    assert await Index(library, "", bag, vectors).search("  ", 3) == []  # type: ignore[arg-type]


async def test_without_the_embedder_the_same_search_is_answered_by_bm25(
    documents: list[Document], bag: object, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library(documents)
    index = Index(library, "", bag, await compute(library, bag))  # type: ignore[arg-type]
    bag.down = True  # type: ignore[attr-defined]
    assert ids(await index.search("dishwasher salt", 3)) == ids(
        library.search("dishwasher salt", 3)
    )
    assert "searched without embeddings: It is down." in caplog.text


async def test_a_pages_similarity_is_the_mean_of_its_own_and_its_best_sentences() -> None:
    pages = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    sentences = np.array([[0, 1], [1, 0], [0.6, 0.8]], np.float32)
    vectors = Vectors(pages, coarse(sentences), np.array([0, 2, 3, 3], np.int32))
    question = np.array([1, 0], np.float32)
    found = await vectors.similarities(question, [1, 2], nearest=1)
    assert found == pytest.approx({0: 1.0, 1: 0.3, 2: 0.6}, abs=1e-3)


def test_eight_bits_change_a_cosine_in_the_fourth_decimal() -> None:
    rows = np.random.default_rng(1).standard_normal((200, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    again = coarse(rows).astype(np.float32)
    again /= np.linalg.norm(again, axis=1, keepdims=True)
    assert np.abs(rows @ rows[0] - again @ rows[0]).max() < 0.002
    assert np.abs(rows @ rows[0] - again @ rows[0]).mean() < 0.0005
    assert not coarse(np.zeros((1, 3), np.float32)).any()


async def test_stored_vectors_come_back_as_they_were(
    documents: list[Document], bag: object
) -> None:
    vectors = await compute(Library(documents), bag)  # type: ignore[arg-type]
    again = Vectors.parse(vectors.dump("key"), "key")
    for name in ("pages", "sentences", "starts"):
        assert np.array_equal(getattr(again, name), getattr(vectors, name))


@pytest.mark.parametrize("change", ["key", "body", "head", "empty"])
async def test_damaged_and_strange_vectors_are_refused(
    documents: list[Document], bag: object, change: str
) -> None:
    content = (await compute(Library(documents), bag)).dump("key")  # type: ignore[arg-type]
    changed = {
        "key": content,
        "body": content[:-1] + bytes([content[-1] ^ 1]),
        "head": content[5:],
        "empty": b"",
    }[change]
    with pytest.raises(VectorsError):
        Vectors.parse(changed, "other" if change == "key" else "key")


def test_the_address_changes_with_the_corpus_and_with_the_model(
    documents: list[Document], bag: object
) -> None:
    first = address(documents, bag)  # type: ignore[arg-type]
    assert address(list(documents), bag) == first  # type: ignore[arg-type]
    assert address(documents[:2], bag) != first  # type: ignore[arg-type]
    bag.digest = "another"  # type: ignore[attr-defined]
    assert address(documents, bag) != first  # type: ignore[arg-type]


async def test_retrieval_answers_from_the_index_of_now(documents: list[Document]) -> None:
    retrieval = Retrieval()
    assert (retrieval.ready, retrieval.state()) == (False, {"documents": 0, "method": None})
    retrieval.swap(Index(Library(documents), ""))
    assert ids(await retrieval.search("salt", 3)) == ["dish"]
    retrieval.swap(Index(Library(documents[1:]), ""))
    assert await retrieval.search("salt", 3) == []
    assert retrieval.state() == {"documents": 2, "method": "bm25"}
