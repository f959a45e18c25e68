"""The zip for Lambda: the same tree gives the same bytes, for its platform, within its limits."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from llmops_runbooks import package_lambda
from llmops_runbooks.errors import UsageError
from llmops_runbooks.package_lambda import Package, package

ROOT = Path(__file__).parents[2]
UV = pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not on the PATH")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(ROOT, tmp_path_factory.mktemp("lambda") / "one.zip")


@UV
def test_it_holds_the_code_and_its_dependencies_and_nothing_of_the_kit(made: Package) -> None:
    names = zipfile.ZipFile(made.path).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"llm_service", "fastapi", "mangum", "msgspec"} <= tops
    assert not tops & {"llmops_judge", "llmops_runbooks", "streamlit", "pytest", "uvloop"}
    assert "llm_service/bundle/features/answer.json" in names
    assert [name for name in names if name.endswith(".pyc") or "/tests/" in name] == []


@UV
def test_its_native_code_is_for_lambdas_python_and_platform(made: Package) -> None:
    native = [n for n in zipfile.ZipFile(made.path).namelist() if ".cpython-" in n]
    assert native
    assert [n for n in native if "cpython-313-x86_64-linux-gnu" not in n] == []


@UV
def test_it_stays_within_lambdas_limit(made: Package) -> None:
    assert made.unzipped <= package_lambda.UNZIPPED_LIMIT
    assert made.zipped == made.path.stat().st_size


@UV
def test_the_same_tree_gives_the_same_bytes(made: Package, tmp_path: Path) -> None:
    os.utime(ROOT / "app_src" / "llm_service" / "__init__.py")
    again = package(ROOT, tmp_path / "two.zip")
    assert again.sha256 == made.sha256


def test_a_tree_without_a_lock_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "app_src").mkdir()
    with pytest.raises(UsageError, match=r"app_src/uv\.lock is missing"):
        package(tmp_path, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


@UV
def test_a_function_that_would_be_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(package_lambda, "UNZIPPED_LIMIT", 1_000_000)
    with pytest.raises(UsageError, match="Lambda takes 1,000,000"):
        package(ROOT, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()
