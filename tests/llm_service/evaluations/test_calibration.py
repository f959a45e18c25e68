"""The calibration set of the sample handbook, and a judge held against it over the whole way:
`llmops eval`, the service, a provider's wire format and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_behaviours import OK, Behaviour
from provider_server import ProviderServer, Seen

from llm_service import sample
from llmops_runbooks import eval_calibration, eval_golden

FILE = sample.FOLDER / "calibration.jsonl"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()
]
CATEGORIES = {
    "correct": {"verbatim", "paraphrase", "verbose", "rightly declined"},
    "incorrect": {
        "wrong number",
        "contradicts",
        "partly right",
        "unsupported claim",
        "wrongly declined",
        "beside the point",
        "answered the unanswerable",
    },
}
LABELS = {row["question"] + row["answer"]: row for row in ROWS}


def lenient(seen: Seen) -> Behaviour:
    """A judge that lets claims pass which no page makes, and else says what people say."""
    data = json.loads(seen.json["messages"][-1]["content"].split("\n")[1])
    row = LABELS.get(data["question"] + data["answer"])
    right = row is None or row["label"] == "correct" or row["category"] == "unsupported claim"
    verdict = json.dumps({"score": 0.9 if right else 0.1, "why": "As people say, or kinder."})
    return Behaviour(words=(verdict,))


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer(lenient) as server:
        yield server


@pytest.fixture
def service(start: Callable[..., Any], provider: ProviderServer) -> Any:
    return start(
        "--no-auth",
        CORPUS_URI=str(sample.FOLDER / "documents.jsonl"),
        OPENAI_API_KEY="unused",
        OPENAI_BASE_URL=provider.openai_url,
    )


def llmops(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmops_cli", "eval", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_set_is_balanced_and_every_label_has_its_kind_and_its_reason() -> None:
    assert 60 <= len(ROWS) <= 100
    labels = Counter(row["label"] for row in ROWS)
    assert labels["correct"] == labels["incorrect"]
    for row in ROWS:
        assert row["category"] in CATEGORIES[row["label"]], row["id"]
        assert len(row["reason"]) > 10 and "\n" not in row["reason"], row["id"]
    found = {(row["label"], row["category"]) for row in ROWS}
    assert found == {(label, kind) for label, kinds in CATEGORIES.items() for kind in kinds}
    assert len(LABELS) == len(ROWS)


def test_every_whole_sentence_of_a_reference_is_on_the_page_it_names() -> None:
    pages = {
        page["id"]: page["text"]
        for page in map(json.loads, (sample.FOLDER / "documents.jsonl").read_text().splitlines())
    }
    for row in ROWS:
        page = pages[row["document_id"]]
        for reference in row["reference"]:
            for sentence in reference.split(". "):
                if reference.endswith("."):
                    assert sentence.rstrip(".") in page, row["id"]


def test_the_scores_without_a_model_are_a_low_bar_on_it() -> None:
    found = eval_calibration.baselines(eval_golden.read_graded(FILE))
    assert {name: each.accuracy.value for name, each in found.items()} == {
        "correct": 0.5833,
        "f1": 0.6979,
    }
    assert {name: each.kappa.value for name, each in found.items()} == {
        "correct": 0.1667,
        "f1": 0.3958,
    }


def test_a_run_with_a_judge_is_calibrated_on_the_set_beside_the_golden_set(
    service: Any, provider: ProviderServer, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    golden = str(sample.FOLDER / "golden.jsonl")
    asked = ("run", "--url", service.url, "--golden", golden, "--sample", "2", "--out", str(out))
    found = llmops(*asked, "--judge", "openai/a-judge", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    judge = json.loads(out.read_text())["judge"]
    agreement = judge["calibration"]
    assert (agreement["name"], agreement["n"], agreement["failed"]) == (FILE.name, 96, 0)
    assert agreement["accuracy"]["value"] == pytest.approx(88 / 96, abs=1e-4)
    assert agreement["kappa"]["value"] == pytest.approx(5 / 6, abs=1e-4)
    assert agreement["kappa"]["low"] < 5 / 6 < agreement["kappa"]["high"]
    kinds = agreement["categories"]
    assert kinds["unsupported claim"] == {
        "n": 8, "people": 0, "judge": 8, "agreed": 0, "failed": 0
    }  # fmt: skip
    assert kinds["paraphrase"]["agreed"] == kinds["paraphrase"]["n"] == 20
    gain = agreement["baselines"]["f1"]["gain"]
    assert gain["value"] == pytest.approx((88 - 67) / 96, abs=1e-4) and gain["low"] > 0
    assert "agrees on 0.92" in found.stdout and "Cohen's kappa 0.83" in found.stdout
    assert "unsupported claim" in found.stdout
    assert len(provider.requests) == 98


def test_no_calibration_judges_the_answers_alone(
    service: Any, provider: ProviderServer, tmp_path: Path
) -> None:
    golden = str(sample.FOLDER / "golden.jsonl")
    asked = ("run", "--url", service.url, "--golden", golden, "--sample", "2")
    found = llmops(*asked, "--judge", "openai/a-judge", "--no-calibration", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "judge not calibrated" in found.stdout
    assert len(provider.requests) == 2


def test_calibrate_says_whether_the_judge_beats_the_scores_without_a_model(
    service: Any, provider: ProviderServer, tmp_path: Path
) -> None:
    asked = ("calibrate", "--calibration", str(FILE), "--json")
    judge = ("--judge", "openai/a-judge", "--url", service.url)
    found = llmops(*asked, *judge, cwd=tmp_path)
    told = json.loads(found.stdout)
    assert (found.returncode, told["exit_code"], told["graded"]) == (0, 0, 96)
    assert told["judge"]["calibration"]["kappa"]["value"] == pytest.approx(5 / 6, abs=1e-4)
    provider.script(Behaviour(words=('{"score": 1, "why": "Yes to all."}',)))
    yes = llmops(*asked, *judge, cwd=tmp_path)
    assert (yes.returncode, json.loads(yes.stdout)["judge"]["calibration"]["kappa"]["value"]) == (
        1, 0.0
    )  # fmt: skip


def test_a_judge_that_never_gives_a_score_ends_the_run_before_the_questions_are_asked(
    service: Any, provider: ProviderServer, tmp_path: Path
) -> None:
    provider.script(OK)
    golden = str(sample.FOLDER / "golden.jsonl")
    asked = ("run", "--url", service.url, "--golden", golden, "--out", str(tmp_path / "r.json"))
    found = llmops(*asked, "--judge", "openai/a-judge", cwd=tmp_path)
    assert found.returncode == 4
    assert "gave none of 96 graded answers a score" in found.stderr
    assert not (tmp_path / "r.json").exists()
    unknown = llmops(*asked, "--judge", "gpt-4o", cwd=tmp_path)
    assert unknown.returncode == 4 and "names no model that may judge" in unknown.stderr
