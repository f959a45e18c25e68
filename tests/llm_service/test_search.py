"""POST /v1/search: the best documents for a query."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest


def search(server: Any, **body: Any) -> httpx.Response:
    token = {"authorization": "Bearer new-token"}
    return httpx.post(f"{server.url}/v1/search", json=body, headers=token)


def test_five_results_by_default_best_first(server: Any) -> None:
    results = search(server, query="rinse temperature of the dishwasher").json()["results"]
    scores = [result["score"] for result in results]
    assert results[0]["id"] == "dishwasher-care"
    assert len(results) == 5
    assert scores == sorted(scores, reverse=True)
    assert set(results[0]) == {"id", "title", "text", "score"}


@pytest.mark.parametrize("top_k", [1, 10])
def test_top_k_goes_from_one_to_ten(server: Any, top_k: int) -> None:
    assert len(search(server, query="coffee", top_k=top_k).json()["results"]) == top_k


@pytest.mark.parametrize("top_k", [0, 11, "many"])
def test_any_other_top_k_is_refused(server: Any, top_k: object) -> None:
    answer = search(server, query="coffee", top_k=top_k)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "top_k")


def test_an_empty_query_is_refused(server: Any) -> None:
    assert search(server, query="").status_code == 400


def test_a_query_of_unknown_words_finds_nothing(server: Any) -> None:
    assert search(server, query="xylophone zeppelin").json() == {"results": []}
