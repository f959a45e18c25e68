"""`llmops explain`: the evidence of a rollout in words, from the cloud or from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from told_rollouts import Story, good_one, misrouted_one, slow_one, wrong_one

from llmops_runbooks.evidence import write
from llmops_runbooks.memory import MemoryCloud


@pytest.fixture
def rolled_out(llmops: Any, memory: MemoryCloud) -> MemoryCloud:
    """1.1.0 was rolled back by the gate, then 1.2.0 promoted."""
    memory.gate.words = ("wait", "rollback")
    llmops("release", "1.1.0")
    memory.gate.words, memory.gate.asked = ("wait", "promote"), {}
    llmops("release", "1.2.0")
    return memory


def of_file(story: Story, llmops: Any, folder: Path) -> Any:
    """What is said of a story whose evidence is in a file."""
    page = write(story.told(), folder)
    return llmops("explain", str(page.with_suffix(".json")))


def test_latest_is_the_newest_rollout_and_the_default(llmops: Any, rolled_out: MemoryCloud) -> None:
    found = llmops("explain")
    assert found.code == 0
    assert found.out.startswith("1.2.0-")
    assert "was promoted by the gate" in found.out
    assert found == llmops("explain", "latest")


def test_a_rollout_is_found_by_id_by_arn_by_release_and_by_version(
    llmops: Any, rolled_out: MemoryCloud
) -> None:
    past = llmops("history", "--json").json["rollouts"][1]
    whole = llmops("explain", past["rollout"], "--json").json["evidence"]
    assert whole["outcome"] == "rolled_back"
    for name in (whole["rollout"], past["release"], "1.1.0"):
        assert llmops("explain", name, "--json").json["evidence"] == whole


def test_a_rollout_under_way_is_explained_as_far_as_it_is_known(
    llmops: Any, memory: MemoryCloud
) -> None:
    memory.gate.words = ("wait",)
    llmops("release", "1.2.0", "--no-wait")
    for _ in range(20):
        memory.clock.wait(1)
    found = llmops("explain")
    assert "is under way" in found.out
    assert "evidence against" in found.out and "~600 requests" in found.out


def test_explaining_changes_nothing_in_the_cloud(llmops: Any, rolled_out: MemoryCloud) -> None:
    before = dict(rolled_out.artifacts.objects)
    llmops("explain", "1.1.0")
    assert rolled_out.artifacts.objects == before


def test_a_rollout_that_ecs_has_forgotten_is_explained_from_the_bucket(
    llmops: Any, rolled_out: MemoryCloud
) -> None:
    past = llmops("history", "--json").json["rollouts"][1]["rollout"]
    kept = rolled_out.artifacts.objects[f"rollouts/{past}/evidence.json"]
    rolled_out.artifacts.objects["rollouts/long-ago/evidence.json"] = kept
    assert "was rolled back by the gate" in llmops("explain", "long-ago").out


def test_an_unknown_rollout_is_one_sentence_that_names_the_known(
    llmops: Any, rolled_out: MemoryCloud
) -> None:
    found = llmops("explain", "9.9.9")
    assert found.code == 2
    (sentence,) = found.err.partition("\n\n")[0].splitlines()
    assert sentence.startswith("error: No rollout 9.9.9 is known in environment local: the newest")
    assert "of 1.2.0-" in sentence and "of 1.1.0-" in sentence


@pytest.mark.parametrize("story", [slow_one, good_one, misrouted_one, wrong_one])
def test_the_text_is_80_columns_wide_and_has_no_colour(
    story: Any, llmops: Any, tmp_path: Path
) -> None:
    found = of_file(story(), llmops, tmp_path)
    assert found.code == 0
    told = [line for line in found.out.splitlines() if not line.startswith(("page:", "replay:"))]
    assert max(map(len, told)) <= 80
    assert "\x1b" not in found.out


def test_the_text_says_what_the_page_says(llmops: Any, tmp_path: Path) -> None:
    story = slow_one()
    found = of_file(story, llmops, tmp_path)
    evidence = story.told()
    words = " ".join(found.out.split())
    assert evidence["sentence"] in words
    assert "118 of 120 passed (baseline 117 of 120) · 2 got worse, 1 got better" in words
    assert "✗ canary The head roaster is Maren Oldcastle." in words
    for metric in evidence["verdict"]["metrics"]:
        assert metric["metric"].replace("_", " ") in words
    for part in ("What happened", "Last verdict", "CloudWatch alarm", "Argo Rollouts", "Kayenta"):
        assert part in words
    assert f"replay: llmops judge replay {tmp_path / 'evidence.json'}" in found.out
    assert f"page:   {tmp_path / 'evidence.html'}" in found.out


def test_a_guard_that_fired_is_told(llmops: Any, tmp_path: Path) -> None:
    found = of_file(misrouted_one(), llmops, tmp_path)
    assert "Guards that fired\n  share served, " in found.out


def test_a_file_needs_no_project_and_no_cloud(llmops: Any, tmp_path: Path, project: Path) -> None:
    (project / "llmops.toml").unlink()
    assert of_file(wrong_one(), llmops, tmp_path / "elsewhere").code == 0


def test_json_holds_the_evidence_and_the_command_that_replays_it(
    llmops: Any, tmp_path: Path
) -> None:
    evidence = slow_one().told()
    file = write(evidence, tmp_path).with_suffix(".json")
    found = llmops("explain", str(file), "--json").json
    assert found["evidence"] == json.loads(file.read_text("utf-8"))
    assert found["sentence"] == evidence["sentence"]
    assert found["replay"] == f"llmops judge replay {file}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not the evidence of a rollout."),
        ('{"sentence": "", "deployment": {}, "schema": 1}', "is evidence of schema 1"),
    ],
)
def test_a_file_that_is_no_evidence_is_one_sentence(
    content: str, sentence: str, llmops: Any, tmp_path: Path
) -> None:
    file = tmp_path / "some.json"
    file.write_text(content)
    found = llmops("explain", str(file))
    assert (found.code, found.out) == (2, "")
    assert sentence in found.err
