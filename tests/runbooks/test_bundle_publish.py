"""A release that changes its bundle alone: the image of another, and a bundle of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.candidate import clone
from llmops_runbooks.errors import UsageError
from llmops_runbooks.manifest import Release
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryRegistry
from llmops_runbooks.outcome import Outcome
from llmops_runbooks.publish import publish
from llmops_runbooks.release import release
from llmops_runbooks.serving import environment_of, serving

OTHER = '{"name": "answer", "passages": 6}\n'


def write(project: Path, version: str, text: str = "", **files: str) -> Path:
    """A release made from 1.1.0, unless `text` says otherwise, with these files in its bundle."""
    folder = project / "releases" / version
    folder.mkdir(parents=True)
    (folder / "release.toml").write_text(f'version = "{version}"\n{text or FROM}\n')
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


FROM = 'from = "1.1.0"'
FEATURE = {"bundle/features/answer.json": OTHER}


@pytest.mark.parametrize("first", [["1.1.0"], []])
def test_only_the_bundle_differs_and_the_image_is_the_same(
    put: Any, project: Path, artifacts: MemoryArtifacts, first: list[str]
) -> None:
    for version in first:
        put(version)
    write(project, "1.3.0", **FEATURE)
    made, below = put("1.3.0"), put("1.1.0")
    differ = {name for name in Release.model_fields if getattr(made, name) != getattr(below, name)}
    assert differ == {"version", "bundle"}
    assert json.loads(artifacts.objects[made.bundle_key]) == {
        "features/answer.json": OTHER,
        "prompts/answer/1.0.0.md": "Answer from the passages.\n",
    }


def test_the_bundle_of_a_release_is_no_part_of_its_image(
    put: Any, project: Path, artifacts: MemoryArtifacts
) -> None:
    before = put("1.0.0").image
    (project / "releases/1.0.0/bundle/features").mkdir(parents=True)
    (project / "releases/1.0.0/bundle/features/answer.json").write_text(OTHER)
    fresh = MemoryArtifacts()
    after = publish("1.0.0", project=project, artifacts=fresh, registry=MemoryRegistry())
    assert after.image == before
    assert json.loads(fresh.objects[after.bundle_key])["features/answer.json"] == OTHER


def test_it_runs_the_published_image_even_if_the_code_has_changed_since(
    put: Any, project: Path, registry: MemoryRegistry
) -> None:
    below = put("1.1.0")
    (project / "app_src/llm_service/question.py").write_text("ANSWER = 'new'\n")
    (project / "app_src/llm_service/sample/documents.jsonl").write_text('{"id": "2"}\n')
    write(project, "1.3.0", **FEATURE)
    made = put("1.3.0")
    assert (made.image, made.corpus) == (below.image, below.corpus)
    assert registry.tags == {"1.1.0": below.image}


def test_what_its_file_says_replaces_what_the_other_had(put: Any, project: Path) -> None:
    write(project, "1.3.0", f'{FROM}\nmodels = ["m"]\n[configuration]\npassages = 6')
    write(project, "1.4.0", f"{FROM}\nconfiguration = {{}}")
    assert put("1.3.0").configuration == {"PASSAGES": "6"}
    assert put("1.3.0").models == ("m",)
    assert put("1.4.0").configuration == {}
    assert put("1.4.0").models == ("extractive-1",)


def test_a_release_can_be_made_from_one_that_is_made_from_another(put: Any, project: Path) -> None:
    write(project, "1.3.0", **FEATURE)
    write(project, "1.4.0", 'from = "1.3.0"', **{"bundle/prompts/answer/1.1.0.md": "Shorter.\n"})
    made, below = put("1.4.0"), put("1.3.0")
    assert (made.image, made.bundle != below.bundle) == (below.image, True)


@pytest.mark.parametrize(
    ("text", "files", "sentence"),
    [
        ('from = "9.0.0"', {}, "Release 9.0.0 is neither published nor in"),
        ('from = "1.3.0"', {}, "releases/1.3.0/release.toml: 'from' leads back to 1.3.0"),
        (
            FROM,
            {"overlay/llm_service/question.py": ""},
            "releases/1.3.0/overlay would have no effect: 'from' takes the image of 1.1.0.",
        ),
        (
            FROM,
            {"bundle/answer.json": "{}"},
            "releases/1.3.0/bundle/answer.json would have no effect: a bundle holds features/",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    put: Any, project: Path, text: str, files: dict[str, str], sentence: str
) -> None:
    write(project, "1.3.0", text, **files)
    with pytest.raises(UsageError, match=re.escape(sentence)):
        put("1.3.0")


def test_two_releases_made_from_each_other_are_told(put: Any, project: Path) -> None:
    write(project, "1.3.0", 'from = "1.4.0"')
    write(project, "1.4.0", 'from = "1.3.0"')
    with pytest.raises(UsageError, match=r"'from' leads back to 1\.3\.0: break the circle"):
        put("1.3.0")


def test_a_release_published_before_bundles_had_features_cannot_be_laid_over(
    put: Any, project: Path, artifacts: MemoryArtifacts
) -> None:
    below = put("1.1.0")
    artifacts.objects[below.bundle_key] = b'{"llm_service/prompts/answer/1.0.0.md":"x"}'
    write(project, "1.3.0", **FEATURE)
    with pytest.raises(UsageError, match="has no features in its bundle"):
        put("1.3.0")


def test_the_configuration_may_not_take_the_bundles_address(put: Any, project: Path) -> None:
    write(project, "1.3.0", f'{FROM}\n[configuration]\nbundle_uri = "x"')
    with pytest.raises(UsageError, match=r"configuration\.bundle_uri is set by llmops itself"):
        put("1.3.0")


def test_the_candidate_is_told_where_its_bundle_is(desk: Any, project: Path) -> None:
    cloud = desk.memory.cloud
    write(project, "1.3.0", 'from = "1.0.0"', **FEATURE)
    made = publish("1.3.0", project=project, artifacts=cloud.artifacts, registry=cloud.registry)
    live = serving(cloud).task_definition
    (old,) = live["containerDefinitions"]
    (new,) = clone(cloud, live, made)["containerDefinitions"]
    assert new["image"] == old["image"]
    uri = environment_of(new)["BUNDLE_URI"]
    assert uri == f"s3://handbook-local-artifacts/bundles/{made.bundle}.json"
    assert environment_of(old)["BUNDLE_URI"] != uri


def test_a_release_of_the_bundle_alone_is_rolled_out_as_any(desk: Any, project: Path) -> None:
    write(project, "1.3.0", 'from = "1.0.0"', **FEATURE)
    found = release(desk.job("1.3.0"))
    assert found.outcome is Outcome.PROMOTED
    assert serving(desk.memory.cloud).release == found.release
