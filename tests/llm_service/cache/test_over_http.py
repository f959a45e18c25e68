"""The cache as clients meet it: the same answer again, nobody else's, and warm from the start."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
import valkey
from valkey_server import ValkeyServer

from llm_service import bundle
from llm_service.sample import FOLDER

QUESTION = "What is the name of the head roaster?"
TOKENS = json.dumps({"current": "new", "previous": "old"})
Task = Callable[..., Any]


@pytest.fixture(scope="module")
def task(start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task]:
    """A task whose feature keeps answers for `scope`: the same one for the same variables."""
    started: dict[str, Any] = {}

    def run(scope: str, number: int = 0, **variables: str) -> Any:
        wanted = json.dumps([scope, number, variables])
        if wanted not in started:
            folder = kept_for(scope, tmp_path_factory.mktemp(scope))
            given = {"BEARER_TOKENS": TOKENS, "BUNDLE_URI": str(folder), **variables}
            started[wanted] = start(CORPUS_URI=str(FOLDER / "documents.jsonl"), **given)
        return started[wanted]

    yield run
    for server in started.values():
        server.process.terminate()
    for server in started.values():
        server.process.wait(15)


def kept_for(scope: str, folder: Path) -> Path:
    """The packaged bundle in `folder`, with a cache."""
    for part in ("features", "prompts"):
        shutil.copytree(Path(bundle.__file__).parent / part, folder / part)
    path = folder / "features" / "answer.json"
    feature = json.loads(path.read_text())
    feature["cache"] = {"mode": "exact", "scope": scope}
    path.write_text(json.dumps(feature))
    return folder


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def ask(server: Any, question: str = QUESTION, **more: Any) -> tuple[str, Any]:
    """What the cache did, and the answer."""
    connected = openai.OpenAI(base_url=f"{server.url}/v1", api_key="new", max_retries=0)
    raw = connected.chat.completions.with_raw_response.create(
        model="default", messages=[{"role": "user", "content": question}], **more
    )
    return raw.headers.get("x-llmops-cache", "none"), raw


def test_the_same_question_is_answered_again_with_its_sources_and_as_a_stream(task: Task) -> None:
    server = task("user")
    first, second = ask(server, user="again"), ask(server, user="again")
    assert (first[0], second[0]) == ("miss", "exact")
    one, two = json.loads(first[1].text), json.loads(second[1].text)
    assert one["choices"] == two["choices"]
    assert one["usage"] == two["usage"]
    assert one["sources"] == two["sources"] != []
    assert one["id"] != two["id"]
    kind, raw = ask(server, stream=True, user="again")
    pieces = [chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices]
    assert kind == "exact"
    assert "".join(pieces) == one["choices"][0]["message"]["content"]


def test_what_changes_an_answer_is_another_question(task: Task) -> None:
    server = task("user")
    assert ask(server)[0] == "miss"
    for more in ({"temperature": 0.1}, {"max_tokens": 50}, {"seed": 1}, {"user": "ann"}):
        assert ask(server, **more)[0] == "miss", more
        assert ask(server, **more)[0] == "exact", more
    assert ask(server, temperature=1.5)[0] == "none"
    assert ask(server, "My mail is jane@example.com. " + QUESTION)[0] == "none"


def test_a_client_may_ask_anew_or_have_nothing_kept(task: Task) -> None:
    server = task("user")

    def asked(control: str) -> str:
        headers = {"cache-control": control} if control else {}
        return ask(server, user="anew", extra_headers=headers)[0]

    assert [asked("no-store"), asked(""), asked("no-cache")] == ["none", "miss", "miss"]
    assert [asked(""), asked("max-age=0, no-cache"), asked("no-store")] == ["exact", "miss", "none"]


def test_users_share_only_where_the_feature_says_so(task: Task) -> None:
    apart, together = task("user"), task("feature")
    kinds = [[ask(server, user=user)[0] for user in ("cid", "dan")] for server in (apart, together)]
    assert kinds == [["miss", "miss"], ["miss", "exact"]]


def test_tasks_of_one_release_share_and_those_of_another_do_not(
    task: Task, valkey_server: ValkeyServer
) -> None:
    more = {
        "VALKEY_URL": valkey_server.url,
        "SERVICE_NAME": "shared-cache",
        "CACHE_TIMEOUT_MS": "2000",
    }
    one, two = (task("feature", number, RELEASE="1.0.0-aaaaaaaa", **more) for number in range(2))
    other = task("feature", 2, RELEASE="1.0.1-bbbbbbbb", **more)
    assert ask(one)[0] == "miss"
    with valkey.Valkey.from_url(valkey_server.url) as store:
        until(lambda: store.keys("{llmops:shared-cache:*}:answer:*"))
    assert ask(two)[0] == "exact"
    assert ask(other)[0] == "miss"


def test_common_questions_are_warm_and_the_hit_rate_is_a_metric(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "warm.jsonl"
    path.write_text(json.dumps({"question": QUESTION}) + "\n")
    server = task("feature", CACHE_WARM=str(path))
    server.wait_for_log("asked 1 questions of CACHE_WARM, 0 failed")
    assert ask(server)[0] == "exact"
    until(lambda: [line["CacheHits"] for line in server.lines("CacheHits")][-1:] == [1])
    state = httpx.get(f"{server.url}/readyz").json()["cache"]
    assert (state["hits"], state["stores"]) == (1, 1)
    assert QUESTION not in server.stderr.read_text()
