"""The gate's code is the packages that are imported here, and nothing around them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_stacks.bundle import staged, staged_rotation


def test_it_holds_the_python_files_of_both_packages_only() -> None:
    with staged() as folder:
        files = [file for file in folder.rglob("*") if file.is_file()]
        packages = sorted(file.name for file in folder.iterdir())
    assert packages == ["llmops_functions", "llmops_judge"]
    assert {file.suffix for file in files} == {".py"}


def test_a_rotation_runs_with_nothing_else_installed() -> None:
    """Without the folders of installed packages, as in Lambda; boto3 alone is the runtime's."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import pg8000.native; from llmops_functions.rotate import database, postgres, tokens;"
        "print(sorted({m.__file__ for m in sys.modules.values() if 'site-packages' in "
        "str(getattr(m, '__file__', ''))}))"
    )
    with staged_rotation() as folder:
        suffixes = {file.suffix for file in folder.rglob("*") if file.is_file()}
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", script, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == "[]"
    assert suffixes == {".py", ""}


def test_nothing_is_left_behind() -> None:
    with staged() as folder:
        pass
    assert not folder.exists()


def test_a_package_that_is_not_installed_is_named() -> None:
    with (
        pytest.raises(ModuleNotFoundError, match="needs the package no_such_package"),
        staged(["no_such_package"]),
    ):
        pass


def test_the_same_code_is_the_same_asset_in_every_environment(
    assembly: Callable[[str], Any],
) -> None:
    keys = set()
    for name in ("local", "prod"):
        keys.add(assembly(name).gate["Properties"]["Code"]["S3Key"])
    assert len(keys) == 1


def test_the_function_runs_the_gate(local: Any) -> None:
    (function,) = local.resources("AWS::Lambda::Function").values()
    properties = function["Properties"]
    assert properties["Handler"] == "llmops_functions.gate.handler"
    assert properties["Runtime"] == "python3.13"
    assert properties["Timeout"] == 25
    assert set(properties["Environment"]["Variables"]) == {
        "ARTIFACT_BUCKET",
        "METRIC_NAMESPACE",
        "SERVICE_NAME",
        "ENVIRONMENT",
        "TEST_URL",
        "SERVICE_URL",
        "TOKEN_SECRET_ARN",
    }
    assert list(Path(local.folder).glob("asset.*/llmops_functions/__init__.py"))
