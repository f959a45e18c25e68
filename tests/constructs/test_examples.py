"""The example in the docstring of each construct runs, and its template is synthesized."""

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import llmops_constructs as llm

import aws_cdk as cdk  # isort: skip
from aws_cdk.assertions import Template  # isort: skip
from constructs import Construct  # isort: skip

CONSTRUCTS = {
    name: value
    for name in llm.__all__
    if inspect.isclass(value := getattr(llm, name))
    and issubclass(value, Construct)
    and not issubclass(value, cdk.Stack)
}
MARK = "Example::"


def example(construct: type[Construct]) -> str:
    """The indented block after the mark, as code."""
    text = inspect.getdoc(construct) or ""
    _, _, rest = text.partition(MARK)
    lines = rest.lstrip("\n").splitlines()
    block = [line for line in lines if not line or line.startswith(" ")]
    code = textwrap.dedent("\n".join(block[: _end(lines)]))
    assert code.strip(), f"{construct.__name__} shows no example"
    return code


def _end(lines: list[str]) -> int:
    """How many lines belong to the block: those before the first that is not indented."""
    return next(
        (at for at, line in enumerate(lines) if line and not line.startswith(" ")), len(lines)
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> cdk.App:
    return llm.new_app(str(tmp_path_factory.mktemp("examples")))


@pytest.mark.parametrize("name", sorted(CONSTRUCTS))
def test_the_example_runs(app: cdk.App, name: str) -> None:
    stack = llm.ExplicitStack(
        app,
        f"example-{name.lower()}",
        account="123456789012",
        region="us-east-1",
        availability_zones=("us-east-1a", "us-east-1b"),
    )
    exec(example(CONSTRUCTS[name]), {"stack": stack, "llm": llm, "cdk": cdk})
    assert any(isinstance(child, CONSTRUCTS[name]) for child in stack.node.find_all())


def test_the_templates_of_all_examples_are_valid_and_as_reviewed(
    app: cdk.App, snapshot: Callable[[Template, str], None]
) -> None:
    """After the tests above; the CDK's own validation stops a synthesis that finds something."""
    folder = Path(app.synth().directory)
    templates = {name: folder / f"example-{name.lower()}.template.json" for name in CONSTRUCTS}
    for name, file in templates.items():
        snapshot(Template.from_string(file.read_text()), f"examples/{name}")


def test_an_example_fits_on_a_screen() -> None:
    lengths = {name: len(example(value).splitlines()) for name, value in CONSTRUCTS.items()}
    assert {name: length for name, length in lengths.items() if length > 15} == {}
