"""The figures of retrieval and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_service.corpus import Document
from llm_service.http import HttpClient
from llm_service.library import Library
from llm_service.retrieval import Index, measure
from llm_service.retrieval.measure import Labelled, MeasureError, Refusals


async def test_hits_count_the_first_places() -> None:
    places = {"a": 1, "b": 3, "c": 4, "d": 0}

    async def search(question: str, limit: int) -> list[str]:
        found = [f"other-{i}" for i in range(limit)]
        if places[question]:
            found[places[question] - 1] = "page"
        return found

    labelled = [Labelled(q, "page", ("yes",)) for q in places] + [Labelled("none", "page", ())]
    found = await measure.hits(labelled, search)
    assert found.count == 4
    assert found.at == {1: 0.25, 3: 0.5, 5: 0.75, 10: 0.75}
    assert found.mean_reciprocal_rank == pytest.approx((1 + 1 / 3 + 1 / 4) / 4)


async def test_without_answerable_questions_there_is_nothing_to_measure() -> None:
    with pytest.raises(MeasureError):
        await measure.hits([Labelled("q", "page", ())], lambda q, k: None)  # type: ignore[arg-type,return-value]


def test_refusals_are_a_detector_of_unanswerable_questions() -> None:
    found = measure.refusals(
        [(False, True), (False, True), (False, False), (True, True), (True, False)]
    )
    assert found == Refusals(unanswerable=3, rightly=2, answerable=2, wrongly=1)
    assert found.precision == found.recall == pytest.approx(2 / 3)
    assert found.false_alarms == 0.5
    assert measure.refusals([]).precision == 1


def test_both_shapes_of_questions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"id": "1", "question": "Q", "document_id": "d", "answer": "A"}\n\n'
        '{"question": "R", "document_id": "e", "answerable": false, "answers": []}\n'
    )
    assert measure.read(path) == [Labelled("Q", "d", ("A",)), Labelled("R", "e", ())]
    path.write_text('{"question": "Q"}')
    with pytest.raises(MeasureError, match=r"questions\.jsonl"):
        measure.read(path)


async def test_a_running_service_is_measured_over_http(server: object) -> None:
    client = HttpClient()
    over = measure.over_http(client, server.url, "new-token")  # type: ignore[attr-defined]
    assert (await over("rinse temperature of the dishwasher", 3))[0] == "dishwasher-care"
    with pytest.raises(MeasureError, match="401"):
        await measure.over_http(client, server.url, "wrong")("q", 1)  # type: ignore[attr-defined]
    await client.close()


async def test_an_index_is_measured_in_process(documents: list[Document]) -> None:
    assert await measure.of_index(Index(Library(documents), ""))("salt", 1) == ["dish"]
