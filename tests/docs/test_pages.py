"""Pages made from the code are as the code is now, and links lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import llmops_constructs as llm
from llmops_runbooks.settings import Environment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("what", ["cli", "constructs", "settings"])
def test_a_page_made_from_the_code_is_as_the_code_is(what: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / f"make_{what}.py"))["page"]()
    assert (ROOT / "docs" / f"{what}.md").read_text(encoding="utf-8") == made, (
        f"run: uv run python docs/make_{what}.py"
    )


def test_every_exported_construct_and_every_table_has_its_section() -> None:
    constructs = (ROOT / "docs" / "constructs.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", constructs, flags=re.MULTILINE) == llm.__all__
    tables = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, field in Environment.model_fields.items():
        assert f"## [{name}]" in tables or f"| `{name}` |" in tables or name == "name", field


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def places(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_a_place_on_a_page_lead_to_a_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, place in re.findall(r"\]\((?!https?:)([^)#]*\.md)?#([^)]+)\)", text):
        assert place in places(page.parent / path if path else page), f"{path}#{place}"


def test_the_readmes_test_command_is_the_one_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^uv run --all-groups pytest.*$", readme, flags=re.MULTILINE)
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
