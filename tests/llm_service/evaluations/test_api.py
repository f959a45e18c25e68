"""`POST /v1/evaluations` on the service as it is started, with and without a judge."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from provider_server import Behaviour, ProviderServer, Seen

from llm_service import sample
from llm_service.evaluations.judge import VERSION
from llmops_runbooks import eval_golden, eval_run
from llmops_runbooks.eval_ask import Target

DOCUMENTS = str(sample.FOLDER / "documents.jsonl")
ASKED = {"question": "How long?", "reference": ["20 minutes"], "answer": "For 20 minutes."}


def post(url: str, body: object, token: str = "bob") -> tuple[int, Any]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url}/v1/evaluations", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


MODELS = {
    "half": Behaviour(words=('{"score": 0.4, "why": "Half."}',)),
    "failing": Behaviour(status=400),
    "gpt-4o-mini": Behaviour(words=('{"score": 1, "why": "Yes."}',)),
}


def strict(seen: Seen) -> Behaviour:
    """A judge that wants the reference's words."""
    shown = json.loads(seen.json["messages"][1]["content"].split("\n")[1])
    right = any(each.lower() in shown["answer"].lower() for each in shown["references"])
    return Behaviour(words=(json.dumps({"score": float(right), "why": "By its words."}),))


@pytest.fixture(scope="module")
def judge() -> Iterator[ProviderServer]:
    """A provider whose models judge as they are called."""
    with ProviderServer(lambda seen: MODELS.get(seen.model) or strict(seen)) as provider:
        yield provider


@pytest.fixture(scope="module")
def server(start: Callable[..., Any], judge: ProviderServer) -> Any:
    """A service with that provider, for alice, whose money is short, and for bob."""
    tokens: list[dict[str, Any]] = [
        {"name": name, "sha256": [hashlib.sha256(name.encode()).hexdigest()]}
        for name in ("alice", "bob")
    ]
    tokens[0]["budget_micro_usd_per_day"] = 0.001
    return start(
        CORPUS_URI=DOCUMENTS,
        BEARER_TOKENS=json.dumps({"tokens": tokens}),
        OPENAI_API_KEY="sk-secret",
        OPENAI_BASE_URL=f"{judge.url}/v1",
    )


@pytest.fixture
def url(server: Any) -> str:
    return str(server.url)


def test_an_answer_is_scored_without_any_judge(url: str) -> None:
    status, found = post(url, ASKED)
    assert status == 200
    assert (found["object"], found["score"], found["verdict"]) == ("evaluation", 1.0, "correct")
    assert found["metrics"]["contained"] == 1 and found["judge"] is None


def test_a_stranger_evaluates_nothing(url: str) -> None:
    assert post(url, ASKED, "stranger")[0] == 401


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"question": ""}, "question"),
        ({"reference": 3}, None),
        ({"answer": None}, "answer"),
        ({"contexts": ["x"] * 33}, "contexts"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    url: str, changes: dict[str, Any], param: str | None
) -> None:
    status, found = post(url, {**ASKED, **changes})
    assert status == 400
    assert param is None or found["error"]["param"] == param


@pytest.mark.parametrize("name", ["nobody", "nobody/gpt-4o-mini"])
def test_a_judge_that_there_is_not_is_404(url: str, name: str) -> None:
    status, found = post(url, {**ASKED, "judge": name})
    assert (status, found["error"]["code"]) == (404, "judge_not_found")


def test_a_configured_provider_judges(url: str, judge: ProviderServer) -> None:
    _, found = post(url, {**ASKED, "judge": "openai/half"})
    assert (found["score"], found["verdict"], found["why"]) == (0.4, "partly", "Half.")
    assert found["judge"]["model"] == "openai/half"
    assert '"answer": "For 20 minutes."' in judge.last.json["messages"][1]["content"]


def test_a_judge_that_fails_is_said_to_and_the_rules_stand(url: str, server: Any) -> None:
    status, found = post(url, {**ASKED, "judge": "openai/failing"})
    assert (status, found["judge"], found["score"]) == (200, None, 1.0)
    assert found["judge_error"].startswith("The judge did not answer")
    assert "sk-secret" not in json.dumps(found) + server.stderr.read_text()


def test_a_judge_costs_the_principal_who_asks(url: str) -> None:
    asked = {**ASKED, "judge": "openai/gpt-4o-mini"}
    assert post(url, asked, "alice")[0] == 200
    status, found = post(url, asked, "alice")
    assert (status, found["error"]["code"]) == (429, "insufficient_quota")
    assert post(url, ASKED, "alice")[0] == 200
    assert post(url, asked)[0] == 200


async def test_an_evaluation_runs_on_the_service_with_its_judge_and_calibration(url: str) -> None:
    golden = eval_golden.read(sample.FOLDER / "golden.jsonl").sample(12, 1)
    people = [
        eval_golden.Graded("How long?", ("20 minutes",), "For 20 minutes.", 1.0),
        eval_golden.Graded("How long?", ("20 minutes",), "For an hour.", 0.0),
    ]
    plan = eval_run.Plan(
        Target(url, "bob"),
        golden,
        "sample",
        judge="openai/strict",
        calibration=("people.jsonl", people),
    )
    found = await eval_run.evaluated(plan, lambda *_: None)
    assert found.failed == 0
    assert {found.figures[name].value for name in ("correct", "hit_at_3")} == {1}
    assert found.figures["judge"].value == 1
    assert found.first_token_ms is not None and found.figures["supported"].value == 1
    assert found.judge is not None and found.judge.calibration is not None
    assert (found.judge.prompt, found.judge.failed) == (VERSION, 0)
    assert found.judge.calibration.kappa.value == 1
