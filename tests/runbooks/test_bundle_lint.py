"""`bundle lint` checks what would be published, by the service's own rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmops_runbooks import bundle_lint, publish
from llmops_runbooks.errors import UsageError
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryRegistry

PROJECT = Path(__file__).parents[2]
VERSIONS = sorted(path.parent.name for path in PROJECT.glob("releases/*/release.toml"))


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_the_bundles_of_this_project_have_nothing_to_find(version: str | None) -> None:
    assert bundle_lint.lint(PROJECT, version).findings == ()


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0"])
def test_the_digest_is_the_one_that_is_published(version: str) -> None:
    artifacts = MemoryArtifacts()
    release = publish.publish(
        version, project=PROJECT, artifacts=artifacts, registry=MemoryRegistry()
    )
    assert bundle_lint.lint(PROJECT, version).digest == release.bundle


def test_the_example_that_changes_its_bundle_alone_runs_the_image_of_the_other() -> None:
    artifacts, registry = MemoryArtifacts(), MemoryRegistry()
    first, second = (
        publish.publish(version, project=PROJECT, artifacts=artifacts, registry=registry)
        for version in ("1.2.0", "1.3.0")
    )
    assert (first.image, first.corpus, first.models) == (second.image, second.corpus, second.models)
    assert first.bundle != second.bundle
    feature = json.loads(json.loads(artifacts.objects[second.bundle_key])["features/answer.json"])
    assert (feature["passages"], feature["prompt"]) == (3, "answer@1.1.0")


def test_a_broken_bundle_is_found_with_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features/answer.json").write_text('{"name": "answer", "passages": 0}')
    (tmp_path / "features/other.json").write_text("{")
    found = bundle_lint.lint_at(tmp_path)
    assert not found.ok
    assert len(found.findings) == 4


def test_configuration_that_hides_the_bundle_is_found_through_the_chain(tmp_path: Path) -> None:
    (tmp_path / "app_src").symlink_to(PROJECT / "app_src")
    for version, text in (
        ("1.0.0", "[configuration]\npassages = 4"),
        ("1.1.0", 'from = "1.0.0"'),
    ):
        (tmp_path / "releases" / version).mkdir(parents=True)
        (tmp_path / "releases" / version / "release.toml").write_text(
            f'version = "{version}"\n{text}\n'
        )
    feature = json.loads((PROJECT / "releases/1.3.0/bundle/features/answer.json").read_text())
    folder = tmp_path / "releases/1.1.0/bundle/features"
    folder.mkdir(parents=True)
    (folder / "answer.json").write_text(json.dumps({**feature, "prompt": "answer@1.0.0"}))
    (finding,) = bundle_lint.lint(tmp_path, "1.1.0").findings
    assert finding.level == "warning"
    assert "configuration.passages is 4 and goes before 'passages'" in finding.message


def test_a_release_or_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("releases/9.0.0/release.toml cannot be read")):
        bundle_lint.lint(PROJECT, "9.0.0")
    with pytest.raises(UsageError, match="There is no bundle in"):
        bundle_lint.lint_at(tmp_path)
