"""The cloud assembly is read as data: stacks in order, assets with their destinations."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from llmops_runbooks import assembly
from llmops_runbooks.errors import LlmopsError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two stacks, written in the wrong order, as the CDK's default synthesizer writes them."""
    artifacts = {}
    for name, needs in (("service", ["data"]), ("data", [])):
        template = tmp_path / f"{name}.template.json"
        template.write_text(json.dumps({"Parameters": {"ImageUri": {}}} if needs else {}))
        key = f"{name}-hash.json"
        destination = {
            "bucketName": "assets-${AWS::AccountId}-${AWS::Region}",
            "objectKey": key,
        }
        files = {
            "t": {
                "source": {"path": template.name, "packaging": "file"},
                "destinations": {"d": destination},
            }
        }
        (tmp_path / f"{name}.assets.json").write_text(json.dumps({"files": files}))
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": template.name, "stackName": f"x-{name}"},
            "dependencies": [*needs, f"{name}.assets"],
        }
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return tmp_path


def test_stacks_come_after_those_they_depend_on(folder: Path) -> None:
    stacks = assembly.read(folder, account="1", region="eu-west-1")
    assert [stack.name for stack in stacks] == ["x-data", "x-service"]


def test_assets_know_their_bucket_in_the_account_and_region(folder: Path) -> None:
    data = assembly.read(folder, account="1", region="eu-west-1")[0]
    assert (data.assets[0].bucket, data.assets[0].key) == ("assets-1-eu-west-1", "data-hash.json")
    assert (
        data.template_url == "https://assets-1-eu-west-1.s3.eu-west-1.amazonaws.com/data-hash.json"
    )


def test_parameters_are_the_templates_own(folder: Path) -> None:
    data, service = assembly.read(folder, account="1", region="eu-west-1")
    assert (data.parameters(), service.parameters()) == (frozenset[str](), frozenset({"ImageUri"}))


def test_a_circle_of_stacks_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["artifacts"]["data"]["dependencies"].append("service")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LlmopsError, match="in a circle"):
        assembly.read(folder, account="1", region="eu-west-1")


def test_container_images_are_not_built(folder: Path) -> None:
    (folder / "data.assets.json").write_text(json.dumps({"dockerImages": {"x": {}}}))
    with pytest.raises(UsageError, match="images by digest"):
        assembly.read(folder, account="1", region="eu-west-1")


def test_a_zipped_folder_depends_on_its_content_alone(tmp_path: Path) -> None:
    (tmp_path / "code" / "inner").mkdir(parents=True)
    (tmp_path / "code" / "inner" / "b.py").write_text("b = 1")
    (tmp_path / "code" / "a.py").write_text("a = 1")
    asset = assembly.Asset(tmp_path / "code", "zip", "bucket", "key")
    first = asset.content()
    (tmp_path / "code" / "a.py").touch()
    assert asset.content() == first
    assert zipfile.ZipFile(BytesIO(first)).namelist() == ["a.py", "inner/b.py"]


def test_a_project_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no app\.py"):
        assembly.synthesize(tmp_path, "local", tmp_path / "out")


def test_the_apps_own_sentence_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import sys; sys.stderr.write('wrong key'); sys.exit(2)")
    with pytest.raises(UsageError, match=r"^wrong key$"):
        assembly.synthesize(tmp_path, "local", tmp_path / "out")


def test_a_machine_without_the_cdk_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise ImportError(\"No module named 'aws_cdk'\")")
    with pytest.raises(UsageError, match="The CDK is not installed") as raised:
        assembly.synthesize(tmp_path, "local", tmp_path / "out")
    assert raised.value.hint == "pip install 'llmops[infra]'"


def test_a_crash_of_the_app_shows_its_end(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise RuntimeError('boom')")
    with pytest.raises(LlmopsError, match="RuntimeError: boom"):
        assembly.synthesize(tmp_path, "local", tmp_path / "out")


APP = """
import os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
(out / "manifest.json").write_text("{}")
runs = pathlib.Path("..") / "runs"
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose app counts its runs in a file beside the project."""
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    (folder / "app.py").write_text(APP)
    (folder / "llmops.toml").write_text("a = 1")
    return folder


def runs(project: Path) -> int:
    return len((project.parent / "runs").read_text())


def test_an_unchanged_project_is_synthesized_once(project: Path) -> None:
    out = project / ".llmops" / "cdk.out"
    assert assembly.synthesize(project, "local", out)
    assert not assembly.synthesize(project, "local", out)
    assert runs(project) == 1


@pytest.mark.parametrize("changed", ["llmops.toml", "inner/new.json", "app.py"])
def test_any_changed_file_of_the_project_is_synthesized_again(project: Path, changed: str) -> None:
    out = project / ".llmops" / "cdk.out"
    assembly.synthesize(project, "local", out)
    file = project / changed
    file.write_text(file.read_text() + "\n" if file.exists() else "{}")
    assert assembly.synthesize(project, "local", out)
    assert runs(project) == 2


def test_another_environment_or_an_overridden_setting_is_another_assembly(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = project / ".llmops" / "cdk.out"
    assembly.synthesize(project, "local", out)
    assert assembly.synthesize(project, "prod", out)
    monkeypatch.setenv("LLMOPS_CANARY__PERCENT", "20")
    assert assembly.synthesize(project, "prod", out)


def test_what_running_the_project_leaves_behind_does_not_count(project: Path) -> None:
    out = project / ".llmops" / "cdk.out"
    assembly.synthesize(project, "local", out)
    (project / ".llmops" / "evidence.json").write_text("{}")
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "app.pyc").write_bytes(b"x")
    assert not assembly.synthesize(project, "local", out)


def test_a_synthesis_that_failed_is_no_assembly(project: Path) -> None:
    out = project / ".llmops" / "cdk.out"
    assembly.synthesize(project, "local", out)
    (project / "app.py").write_text("raise RuntimeError('boom')")
    for _ in range(2):
        with pytest.raises(LlmopsError, match="boom"):
            assembly.synthesize(project, "local", out)
