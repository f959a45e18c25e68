"""`llmops bundle lint` and `llmops experiment report`: text, JSON, exit codes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from experiment_lines import experiment, feature_file, traffic

from llm_service.bundle.source import PACKAGED

Llmops = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with an experiment, outside any project."""
    made = tmp_path / "bundle"
    (made / "features").mkdir(parents=True)
    (made / "prompts").symlink_to(PACKAGED / "prompts")
    for path, text in feature_file(experiment(0.5, 0.5)).items():
        (made / path).write_text(text)
    return made


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    def outcome(rng: random.Random, variant: str) -> dict[str, float]:
        good = rng.random() < (0.9 if variant == "b" else 0.7)
        return {"Quality": float(good), "Latency": 800.0, "Cost": 100.0}

    path = tmp_path / "service.log"
    path.write_text("\n".join(traffic(experiment(0.5, 0.5), 1500, outcome)))
    return path


def test_a_sound_bundle_is_shown_with_its_digest(llmops: Llmops, folder: Path) -> None:
    found = llmops("bundle", "lint", str(folder))
    assert found.code == 0
    assert found.out.startswith("bundle ")
    assert "longer" in found.out
    assert llmops("bundle", "lint", str(folder), "--json").json["ok"] is True


def test_a_bundle_that_the_service_would_refuse_is_exit_code_2(
    llmops: Llmops, folder: Path
) -> None:
    (folder / "features/answer.json").write_text('{"name": "answer", "passages": 0}')
    found = llmops("bundle", "lint", str(folder))
    assert found.code == 2
    assert "error: features/answer.json: " in found.out
    in_json = llmops("bundle", "lint", str(folder), "--json")
    assert (in_json.code, in_json.json["ok"]) == (2, False)


def test_the_winner_is_told_and_is_exit_code_0(llmops: Llmops, folder: Path, lines: Path) -> None:
    found = llmops("experiment", "report", "--lines", str(lines), "--bundle", str(folder))
    assert found.code == 0
    assert "winner: b is better in quality than every other variant." in found.out
    in_json = llmops(
        "experiment", "report", "longer", "--lines", str(lines), "--bundle", str(folder), "--json"
    )
    assert in_json.json["winner"] == "b"


def test_too_few_is_exit_code_3_with_about_how_many_more(
    llmops: Llmops, folder: Path, lines: Path
) -> None:
    few = lines.with_name("few.log")
    few.write_text("\n".join(lines.read_text().splitlines()[:400]))
    found = llmops("experiment", "report", "--lines", str(few), "--bundle", str(folder))
    assert found.code == 3
    assert "none yet: No variant is better in quality for certain yet. About " in found.out
    assert "do not count yet" in found.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--lines", "x.log"), "Lines alone do not say what the experiment is."),
        (("--lines", "x.log", "--bundle", "{}"), "x.log cannot be read"),
        (("--bundle", "{}", "--release", "1.0.0"), "in a --release or a --bundle, not in both"),
        (("warmer", "--lines", "x.log", "--bundle", "{}"), "has no experiment warmer (known:"),
        (("--alpha", "2"), "Invalid value for '--alpha'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    llmops: Llmops, folder: Path, words: tuple[str, ...], sentence: str
) -> None:
    found = llmops("experiment", "report", *(word.format(folder) for word in words))
    assert found.code == 2
    assert sentence in found.err


def test_the_live_release_is_asked_through_the_cloud(llmops: Llmops, memory: Any) -> None:
    found = llmops("experiment", "report")
    assert found.code == 2
    assert "error: The live release 1.0.0-" in found.err
    (key,) = memory.artifacts.keys("bundles/")
    memory.artifacts.objects[key] = json.dumps(feature_file(experiment(0.5, 0.5))).encode()
    found = llmops("experiment", "report", "--json")
    assert (found.code, found.json["outcome"]) == (3, "no claim")
