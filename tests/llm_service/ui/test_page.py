"""The page in a real browser: ask, watch the answer come, open its sources, give a thumb, find it
in the database; have an answer evaluated; see what a service that is away looks like."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_behaviours import Behaviour
from provider_server import ProviderServer

from llm_service import sample

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)
if BROWSER is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

sync_api = pytest.importorskip("playwright.sync_api")

DEADLINE = 30.0
QUESTION = "At what temperature does the dishwasher rinse?"


@pytest.fixture
def service(start: Callable[..., Any], where: dict[str, str]) -> Any:
    return start(
        CORPUS_URI=str(sample.FOLDER / "documents.jsonl"),
        RELEASE="1.0.0-0a1b2c3d",
        BEARER_TOKENS='{"current": "page-token"}',
        **where,
    )


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts a page that asks the service at a URL; its own URL."""
    started = []

    def run(service_url: str) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_ui"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PORT": str(port),
                "SERVICE_URL": f"{service_url}/v1",
                "SERVICE_TOKEN": "page-token",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/_stcore/health")
        return url

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a browser that is gone afterwards."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1000, "height": 900})
        opened.set_default_timeout(DEADLINE * 1000)
        yield opened
        browser.close()


async def test_ask_read_the_sources_give_a_thumb_and_find_it_in_the_database(
    service: Any,
    serve: Callable[[str], str],
    table: Callable[..., Awaitable[list[Any]]],
) -> None:
    shown = await asyncio.to_thread(_visit, serve(service.url))
    assert "82 degrees" in shown["answer"]
    assert "AI-generated" in shown["label"]
    assert "1.0.0-0a1b2c3d" in shown["label"]
    assert "ishwasher" in shown["sources"]
    (row,) = await table("feedback", "created_at")
    assert (row["thumb"], row["comment"]) == ("up", "Just what I needed.")
    assert row["release"] == "1.0.0-0a1b2c3d"


def _visit(url: str) -> dict[str, str]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(DEADLINE * 1000)
        try:
            return _conversation(page, url)
        finally:
            browser.close()


def _conversation(page: Any, url: str) -> dict[str, str]:
    page.goto(url)
    _ask(page, QUESTION)
    page.get_by_text("Sources (").click()
    page.get_by_test_id("stExpanderDetails").get_by_text("ishwasher").first.wait_for()
    answer = page.get_by_test_id("stChatMessage").nth(1)
    shown = {
        "answer": answer.inner_text(),
        "label": page.get_by_text("AI-generated").first.inner_text(),
        "sources": page.get_by_test_id("stExpanderDetails").inner_text(),
    }
    _keep(page, "answered")
    page.get_by_role("radiogroup").get_by_role("radio").first.click()
    page.get_by_text("Thank you.").wait_for()
    page.get_by_role("button", name=re.compile("Comment")).click()
    page.get_by_label("What was good, what was wrong?").fill("Just what I needed.")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("Thank you.").wait_for()
    _keep(page, "asked")
    return shown


def test_an_answer_is_evaluated_and_the_page_says_why(
    service: Any, serve: Callable[[str], str], page: Any
) -> None:
    page.goto(serve(service.url))
    page.get_by_role("tab", name="Evaluate").click()
    page.get_by_label("Question", exact=True).fill("Who was the Norse leader?")
    page.get_by_label("Reference answer").fill("Rollo")
    page.get_by_label("Answer to evaluate").fill("Their leader was Rollo.")
    page.get_by_role("button", name="Evaluate").click()
    page.get_by_test_id("stMetricValue").wait_for()
    _keep(page, "evaluated")
    assert float(page.get_by_test_id("stMetricValue").inner_text()) > 0.5
    assert page.get_by_text("correct", exact=True).is_visible()


@pytest.mark.slow
def test_a_reference_left_empty_says_that_declining_is_right(
    service: Any, serve: Callable[[str], str], page: Any
) -> None:
    page.goto(serve(service.url))
    page.get_by_role("tab", name="Evaluate").click()
    page.get_by_label("Question", exact=True).fill("Who won?")
    page.get_by_label("Answer to evaluate").fill("I cannot find that in the handbook.")
    page.get_by_role("button", name="Evaluate").click()
    page.get_by_test_id("stMetricValue").wait_for()
    assert page.get_by_test_id("stMetricValue").inner_text() == "1.00"


@pytest.mark.slow
def test_a_service_that_is_away_is_one_sentence(serve: Callable[[str], str], page: Any) -> None:
    page.goto(serve("http://127.0.0.1:9"))
    page.get_by_test_id("stChatInputTextArea").fill(QUESTION)
    page.get_by_test_id("stChatInputTextArea").press("Enter")
    alert = page.get_by_test_id("stAlert")
    alert.wait_for()
    _keep(page, "away")
    assert alert.inner_text().strip() == "The service cannot be reached: is it running?"


@pytest.mark.slow
def test_a_question_that_failed_is_asked_again_by_a_button(
    serve: Callable[[str], str], page: Any
) -> None:
    script = [Behaviour(status=500, message="Out of order."), Behaviour(words=("It does.",))]
    with ProviderServer(script) as provider:
        page.goto(serve(provider.url))
        _write(page, QUESTION)
        alert = page.get_by_test_id("stAlert")
        alert.wait_for()
        assert alert.inner_text().strip() == "Out of order."
        page.get_by_role("button", name="Ask again").click()
        page.get_by_text("It does.").wait_for()
        assert [seen.json["messages"][-1]["content"] for seen in provider.requests] == [
            QUESTION
        ] * 2


def test_the_words_that_have_come_are_shown_before_the_rest_is_there(
    serve: Callable[[str], str], page: Any
) -> None:
    with ProviderServer(Behaviour(then="hang", after=3)) as provider:
        page.goto(serve(provider.url))
        _write(page, QUESTION)
        page.get_by_text("word0 word1 word2").wait_for()
        _keep(page, "streaming")
        page.get_by_text("AI-generated", exact=True).wait_for()
        assert not provider.last.finished


@pytest.mark.slow
def test_until_the_first_words_come_the_page_says_that_it_looks(
    serve: Callable[[str], str], page: Any
) -> None:
    with ProviderServer(Behaviour(before_first=math.inf)) as provider:
        page.goto(serve(provider.url))
        _write(page, QUESTION)
        page.get_by_text("Looking it up").wait_for()
        _keep(page, "looking")


def test_an_answer_shows_no_picture_and_asks_no_other_host(
    serve: Callable[[str], str], page: Any
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    picture = ("Look: !", "[x](http://127.0.0.1:9/stolen?it=1)", " and *that*.")
    with ProviderServer(Behaviour(words=picture)) as provider:
        page.goto(serve(provider.url))
        _ask(page, "What is *this*, for $5 or $6?")
        said = page.get_by_test_id("stChatMessage")
        assert said.nth(0).get_by_text("What is *this*, for $5 or $6?", exact=True).is_visible()
        assert said.nth(1).locator("em").inner_text() == "that"
        assert said.nth(1).locator("img").count() == 0
    assert not [url for url in asked if "stolen" in url]


def _ask(page: Any, question: str) -> None:
    _write(page, question)
    page.get_by_text("· release").first.wait_for()


def _write(page: Any, question: str) -> None:
    box = page.get_by_test_id("stChatInputTextArea")
    box.fill(question)
    box.press("Enter")


def _keep(page: Any, name: str) -> None:
    """A screenshot for a person, where LLMOPS_TEST_SCREENSHOTS says."""
    if folder := os.environ.get("LLMOPS_TEST_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def _wait_for(url: str) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < end, f"{url} never answered"
            time.sleep(0.05)
