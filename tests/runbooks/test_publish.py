"""A release is published once, by content, and never edited."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks import image
from llmops_runbooks.errors import UsageError
from llmops_runbooks.manifest import Release
from llmops_runbooks.memory.stores import MemoryArtifacts, MemoryRegistry
from llmops_runbooks.publish import publish


def layer_of(registry: MemoryRegistry, release: Release) -> bytes:
    manifest = json.loads(registry.blobs[release.image])
    return registry.blobs[manifest["layers"][-1]["digest"]]


def test_the_id_is_the_version_and_the_hash_of_the_manifest(
    put: Any, artifacts: MemoryArtifacts
) -> None:
    release = put("1.1.0")
    stored = artifacts.objects[f"releases/{release.id}.json"]
    assert release.id == f"1.1.0-{hashlib.sha256(stored).hexdigest()[:8]}"
    assert json.loads(stored)["configuration"] == {"TOP_K": "3"}


def test_corpus_golden_set_and_bundle_are_stored_by_their_hash(
    put: Any, artifacts: MemoryArtifacts
) -> None:
    release = put("1.0.0")
    for key in (release.corpus_key, release.golden_key, release.bundle_key):
        assert hashlib.sha256(artifacts.objects[key]).hexdigest() in key
    bundle = json.loads(artifacts.objects[release.bundle_key])
    assert bundle == {
        "features/answer.json": '{"name": "answer"}\n',
        "prompts/answer/1.0.0.md": "Answer from the passages.\n",
    }


def test_the_layer_holds_the_code_under_app_with_the_overlay_and_nothing_else(
    put: Any, registry: MemoryRegistry
) -> None:
    content = layer_of(registry, put("1.1.0"))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        names = tar.getnames()
        question = tar.extractfile("app/llm_service/question.py")
        assert question is not None
        assert question.read() == b"ANSWER = '1.1.0'\n"
        assert {member.mtime + member.uid + member.gid for member in tar.getmembers()} == {0}
    assert names == [
        "app",
        "app/llm_service",
        "app/llm_service/bundle",
        "app/llm_service/bundle/features",
        "app/llm_service/bundle/prompts",
        "app/llm_service/bundle/prompts/answer",
        "app/llm_service/sample",
        "app/llm_service/__main__.py",
        "app/llm_service/bundle/feature.schema.json",
        "app/llm_service/bundle/features/answer.json",
        "app/llm_service/bundle/prompts/answer/1.0.0.md",
        "app/llm_service/question.py",
        "app/llm_service/sample/documents.jsonl",
        "app/llm_service/sample/golden.jsonl",
    ]


def test_the_image_configuration_runs_the_service_and_names_the_unpacked_layer(
    put: Any, registry: MemoryRegistry
) -> None:
    release = put("1.0.0")
    manifest = json.loads(registry.blobs[release.image])
    config = json.loads(registry.blobs[manifest["config"]["digest"]])
    assert config["config"] == {"WorkingDir": "/app", "Cmd": ["python", "-m", "llm_service"]}
    unpacked = hashlib.sha256(gzip.decompress(layer_of(registry, release))).hexdigest()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{unpacked}"]
    assert registry.tags == {"1.0.0": release.image}


def test_the_same_tree_gives_the_same_release_anywhere_and_at_any_time(
    put: Any, project: Path
) -> None:
    first = put("1.0.0")
    for path in project.rglob("*.py"):
        path.touch()
    again = publish(
        "1.0.0", project=project, artifacts=MemoryArtifacts(), registry=MemoryRegistry()
    )
    assert again == first


def test_publishing_again_changes_nothing(
    put: Any, artifacts: MemoryArtifacts, registry: MemoryRegistry
) -> None:
    first = put("1.0.0")
    before = (dict(artifacts.objects), dict(registry.blobs))
    assert put("1.0.0") == first
    assert (artifacts.objects, registry.blobs) == before


def test_a_published_release_stays_as_it_was_when_the_tree_changes_and_that_is_told(
    put: Any, project: Path, artifacts: MemoryArtifacts
) -> None:
    first = put("1.0.0")
    (project / "app_src/llm_service/sample/documents.jsonl").write_text('{"id": "2"}\n')
    told: list[str] = []
    assert put("1.0.0", warn=told.append) == first
    assert len(artifacts.keys("releases/1.0.0-")) == 1
    assert "other content than the working tree (image, corpus)" in told[0]


def test_a_crash_after_the_claim_is_finished_by_the_next_publish(
    put: Any, artifacts: MemoryArtifacts
) -> None:
    first = put("1.0.0")
    del artifacts.objects[first.key]
    assert put("1.0.0") == first
    assert first.key in artifacts.objects


def test_two_publishers_of_one_version_end_with_one_manifest(
    put: Any, project: Path, artifacts: MemoryArtifacts, registry: MemoryRegistry
) -> None:
    class Rival(MemoryArtifacts):
        """Another machine claims the version just before this one does."""

        def put_new(self, key: str, content: bytes, content_type: str = "") -> bool:
            if key == "versions/1.0.0.json" and key not in self.objects:
                rival = Release.model_validate_json(content)
                theirs = rival.model_copy(update={"models": ("other",)})
                self.objects[key] = theirs.canonical()
            return super().put_new(key, content)

    bucket = Rival()
    release = publish("1.0.0", project=project, artifacts=bucket, registry=registry)
    assert release.models == ("other",)
    assert bucket.keys("releases/") == [release.key]


def test_a_release_can_be_named_by_its_id(put: Any) -> None:
    first = put("1.0.0")
    assert put(first.id) == first


def test_a_published_release_needs_no_folder(put: Any, project: Path) -> None:
    first = put("1.0.0")
    (project / "releases/1.0.0/release.toml").unlink()
    assert put("1.0.0") == first


def test_a_version_that_is_nowhere_is_a_usage_error_that_lists_the_known(put: Any) -> None:
    put("1.0.0")
    with pytest.raises(UsageError, match=r"known: 1\.0\.0, 1\.1\.0, 1\.2\.0"):
        put("3.0.0")


def test_a_tag_taken_by_another_image_is_a_usage_error(put: Any, registry: MemoryRegistry) -> None:
    registry.tags["1.0.0"] = "sha256:" + "0" * 64
    with pytest.raises(UsageError, match=r"'1\.0\.0' of the repository handbook already names"):
        put("1.0.0")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("version = 1", "releases/1.0.0/release.toml: 'version' is not allowed"),
        ("version = '1.0.0'\nmodel = 'x'", "'model' is not allowed: Extra inputs"),
        ("version = '2.0.0'", "version is 2.0.0, its folder says otherwise"),
        ("version =", "releases/1.0.0/release.toml cannot be read"),
        ("version = '1.0.0'\n[configuration]\nrelease = 'x'", "configuration.release is set by"),
    ],
)
def test_a_mistake_in_release_toml_is_one_sentence(
    put: Any, project: Path, text: str, sentence: str
) -> None:
    (project / "releases/1.0.0/release.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(sentence)):
        put("1.0.0")


def test_an_overlay_that_would_have_no_effect_is_a_usage_error(put: Any, project: Path) -> None:
    (project / "releases/1.0.0/overlay/elsewhere.py").write_text("")
    with pytest.raises(UsageError, match=r"overlay/elsewhere\.py is outside llm_service/"):
        put("1.0.0")


def base_image(registry: MemoryRegistry, tag: str, architecture: str = "arm64") -> str:
    """A Docker image with one layer, as `docker push` leaves it; the digest of its layer."""
    layer, config = (
        b"layer",
        json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": ["PATH=/usr/bin"], "Entrypoint": ["sh"], "Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
            }
        ).encode(),
    )
    for blob in (layer, config):
        registry.put_blob(image.digest(blob), blob)
    docker = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "config": {
            "mediaType": f"{docker}.container.image.v1+json",
            "digest": image.digest(config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": f"{docker}.image.rootfs.diff.tar.gzip",
                "digest": image.digest(layer),
                "size": len(layer),
            }
        ],
    }
    registry.put_image(json.dumps(manifest).encode(), "", tag)
    return image.digest(layer)


def test_the_code_is_laid_on_the_base_image(put: Any, registry: MemoryRegistry) -> None:
    below = base_image(registry, "base")
    manifest = json.loads(registry.blobs[put("1.0.0", base_image="base").image])
    assert manifest["layers"][0]["digest"] == below
    assert {layer["mediaType"] for layer in manifest["layers"]} == {image.LAYER_TYPE}
    config = json.loads(registry.blobs[manifest["config"]["digest"]])
    assert config["config"] == {
        "Env": ["PATH=/usr/bin"],
        "WorkingDir": "/app",
        "Cmd": ["python", "-m", "llm_service"],
    }
    assert len(config["rootfs"]["diff_ids"]) == 2


def test_a_base_image_for_another_processor_is_a_usage_error(
    put: Any, registry: MemoryRegistry
) -> None:
    base_image(registry, "base", "amd64")
    with pytest.raises(UsageError, match="has no linux/arm64 variant"):
        put("1.0.0", base_image="base")
    assert put("1.0.0", base_image="base", architecture="x86_64").version == "1.0.0"


def test_a_base_image_that_is_missing_is_a_usage_error_that_says_what_to_push(put: Any) -> None:
    with pytest.raises(UsageError, match="handbook has no image tagged 'base'") as error:
        put("1.0.0", base_image="base")
    assert "handbook:base" in error.value.hint
