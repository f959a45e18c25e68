"""POST /v1/feedback: a thumb counts for the release that gave the answer, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import pytest

from llm_service.feedback import Recent
from llm_service.sample import FOLDER

QUESTION = "What is the name of the head roaster?"
TOKEN = {"authorization": "Bearer new-token"}

Start = Callable[..., Any]
Table = Callable[..., Awaitable[list[Any]]]


def ask(server: Any) -> str:
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=TOKEN)
    return str(answer.json()["id"])


def give(server: Any, response_id: str, thumb: str, **more: str) -> httpx.Response:
    body = {"response_id": response_id, "thumb": thumb, **more}
    return httpx.post(f"{server.url}/v1/feedback", json=body, headers=TOKEN)


def thumbs(server: Any, response_id: str) -> list[tuple[str, int]]:
    """The published thumbs on an answer, once what was queued before is written: of which release,
    and up (1) or down (0)."""
    marker = httpx.post(
        f"{server.url}/v1/search",
        json={"query": "x"},
        headers={"authorization": "Bearer new-token"},
    ).headers["x-request-id"]
    server.eventually(
        lambda: any(line.get("request_id") == marker for line in server.lines("Requests")),
        "the line of a request was never written",
    )
    return [
        (line["release"], line["Feedback"])
        for line in server.lines("Feedback")
        if line["response_id"] == response_id
    ]


def service(start: Start, where: dict[str, str], release: str) -> Any:
    corpus = str(FOLDER / "documents.jsonl")
    return start("--no-auth", "--corpus", corpus, **where, RELEASE=release)


@pytest.mark.parametrize(("thumb", "value"), [("up", 1), ("down", 0)])
def test_a_thumb_is_a_metric_of_the_release(server: Any, thumb: str, value: int) -> None:
    response_id = ask(server)
    taken = give(server, response_id, thumb)
    assert taken.status_code == 200
    assert taken.json() == {
        "object": "feedback",
        "response_id": response_id,
        "thumb": thumb,
        "release": "1.0.0-0a1b2c3d",
    }
    assert thumbs(server, response_id) == [("1.0.0-0a1b2c3d", value)]
    (line,) = [line for line in server.lines("Feedback") if line["response_id"] == response_id]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service", "environment", "release"]]
    assert directive["Metrics"] == [{"Name": "Feedback", "Unit": "None"}]


def test_only_the_first_thumb_on_an_answer_is_published(server: Any) -> None:
    response_id = ask(server)
    assert [give(server, response_id, t).status_code for t in ("up", "down", "up")] == [200] * 3
    assert thumbs(server, response_id) == [("1.0.0-0a1b2c3d", 1)]


def test_an_unknown_answer_is_a_404_in_openais_words(server: Any) -> None:
    answer = give(server, "chatcmpl-nowhere", "up")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("response_not_found", "response_id")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "response_id"),
        ({"response_id": "x"}, "thumb"),
        ({"response_id": "x", "thumb": "sideways"}, "thumb"),
        ({"response_id": "x" * 129, "thumb": "up"}, "response_id"),
        ({"response_id": "x", "thumb": "up", "comment": "x" * 5000}, "comment"),
    ],
)
def test_wrong_feedback_is_a_400_that_names_the_parameter(
    server: Any, body: dict[str, Any], param: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/feedback", json=body, headers=TOKEN)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_feedback_needs_a_token_and_is_no_request_of_a_user(server: Any) -> None:
    before = len(server.lines("Requests"))
    answer = httpx.post(f"{server.url}/v1/feedback", json={"response_id": "x", "thumb": "up"})
    assert answer.status_code == 401
    assert len(server.lines("Requests")) == before


def test_a_process_remembers_its_last_answers() -> None:
    recent = Recent(capacity=2)
    for name in ("a", "b", "c"):
        recent.add(name)
    assert [name in recent for name in ("a", "b", "c")] == [False, True, True]
    assert [recent.give("c", "up"), recent.give("c", "down")] == [True, False]


async def test_a_very_quick_thumb_given_to_the_other_release_counts_for_the_one_that_answered(
    start: Start, where: dict[str, str], table: Table
) -> None:
    old, new = (service(start, where, release) for release in ("1.0.0-aaaaaaaa", "1.1.0-bbbbbbbb"))
    response_id = ask(old)
    taken = give(new, response_id, "down", comment="Wrong page.")
    assert (taken.status_code, taken.json()["release"]) == (200, "1.0.0-aaaaaaaa")
    assert thumbs(new, response_id) == [("1.0.0-aaaaaaaa", 0)]
    assert give(old, response_id, "up", comment="Right after all.").status_code == 200
    assert thumbs(old, response_id) == []
    (row,) = await table("feedback", "created_at")
    assert (row["release"], row["thumb"]) == ("1.0.0-aaaaaaaa", "up")
    assert row["comment"] == "Right after all."


async def test_of_many_thumbs_at_once_on_one_answer_one_is_published(
    start: Start, where: dict[str, str], table: Table
) -> None:
    tasks = [service(start, where, release) for release in ("1.0.0-aaaaaaaa", "1.1.0-bbbbbbbb")]
    response_id = ask(tasks[0])
    answers = await asyncio.gather(
        *(asyncio.to_thread(give, tasks[n % 2], response_id, "up") for n in range(8))
    )
    assert {answer.status_code for answer in answers} == {200}
    published = [thumb for task in tasks for thumb in thumbs(task, response_id)]
    assert published == [("1.0.0-aaaaaaaa", 1)]
    assert len(await table("feedback", "created_at")) == 1


def test_an_answer_that_no_release_gave_is_a_404_with_a_database_too(
    start: Start, where: dict[str, str]
) -> None:
    assert give(service(start, where, "r"), "chatcmpl-nowhere", "up").status_code == 404


async def test_what_the_database_cannot_hold_is_no_fault_of_the_database(
    start: Start, where: dict[str, str], table: Table
) -> None:
    server = service(start, where, "r")
    response_id = ask(server)
    unknown = give(server, "chatcmpl-\0", "up")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "response_not_found")
    assert give(server, response_id, "up", comment="Fine\0, I think.").status_code == 200
    (row,) = await table("feedback", "created_at")
    assert row["comment"] == "Fine, I think."
    assert "not reachable" not in server.stderr.read_text()


async def test_a_comment_is_kept_without_personal_data(
    start: Start, where: dict[str, str], table: Table
) -> None:
    server = service(start, where, "r")
    give(server, ask(server), "down", comment="Wrong. Write to ann@example.org")
    (row,) = await table("feedback", "created_at")
    assert row["comment"] == "Wrong. Write to [EMAIL]"


def test_feedback_while_the_database_is_away_is_a_503(
    start: Start, where: dict[str, str], postgres: Any
) -> None:
    server = service(start, where, "r")
    response_id = ask(server)
    postgres.stop()
    try:
        server.wait_for("/readyz", 503)
        answer = give(server, response_id, "up")
    finally:
        postgres.start()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert thumbs(server, response_id) == []
