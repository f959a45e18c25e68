"""`constructs/` shares its name with the library under aws-cdk-lib: keep it a plain folder."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "stacks": ["llmops_stacks"],
    "constructs": ["llmops_constructs"],
    "judge": ["llmops_judge"],
    "runbooks": ["llmops_runbooks"],
    "cli": ["llmops_cli"],
    "app_src": ["llm_service", "llm_ui", "llmops_functions"],
    "localcloud": ["llmops_localcloud"],
}


def test_shelves_are_not_packages() -> None:
    assert [shelf for shelf in PACKAGES if (ROOT / shelf / "__init__.py").exists()] == []


@pytest.mark.parametrize("shelf", PACKAGES)
def test_a_shelf_holds_its_packages_and_no_tests(shelf: str) -> None:
    folder = ROOT / shelf
    loose = [file.name for file in folder.glob("*.py")]
    packages = sorted(file.parent.name for file in folder.glob("*/__init__.py"))
    tests = [*folder.rglob("test_*.py"), *folder.rglob("conftest.py")]
    assert (loose, packages, tests) == ([], PACKAGES[shelf], [])


def test_test_folders_are_not_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_constructs_is_the_library_from_the_repository_root() -> None:
    code = "from constructs import Construct; import constructs; print(constructs.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not Path(found.stdout.strip()).is_relative_to(ROOT / "constructs")


def test_there_is_one_network_class_however_it_is_imported() -> None:
    """With the root on the path `constructs` is a namespace the folder could slip into."""
    code = (
        "import sys; sys.path.pop(0); import llmops_constructs, constructs\n"
        "print(len(list(constructs.__path__)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "1"
