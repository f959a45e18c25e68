"""`llmops diff`: against an assembly without AWS, against what is deployed, for people and CI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_cli import diff_tables
from llmops_runbooks import assembly
from llmops_runbooks.aws.templates import DeployedTemplates
from llmops_runbooks.diff import compare

POLICY = {
    "Type": "AWS::IAM::Policy",
    "Properties": {
        "PolicyDocument": {
            "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "```"}]
        }
    },
}
TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "a"}}


def write(folder: Path, resources: dict[str, Any]) -> Path:
    """An assembly of one stack, as the CDK writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "handbook-local-data"
    (folder / f"{name}.template.json").write_text(json.dumps({"Resources": resources}))
    files = {
        "t": {
            "source": {"path": f"{name}.template.json", "packaging": "file"},
            "destinations": {"d": {"bucketName": "b", "objectKey": "k"}},
        }
    }
    (folder / f"{name}.assets.json").write_text(json.dumps({"files": files}))
    artifacts = {
        "a": {"type": "cdk:asset-manifest", "properties": {"file": f"{name}.assets.json"}},
        name: {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": ["a"],
        },
    }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


@pytest.fixture
def older(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The assembly of another commit; the project's own now has a policy and a renamed table."""

    def synthesize(_: Path, __: str, out: Path) -> bool:
        write(out, {"Table": TABLE | {"Properties": {"TableName": "b"}}, "Policy": POLICY})
        return True

    monkeypatch.setattr(assembly, "synthesize", synthesize)
    return write(tmp_path_factory.mktemp("older"), {"Table": TABLE})


def test_another_assembly_is_compared_without_aws(llmops: Callable[..., Any], older: Path) -> None:
    found = llmops("diff", "--against", str(older))
    assert found.code == 0
    assert "handbook-local-data (changed): 1 to add, 1 to change" in found.out
    assert "    TableName: a -> b" in found.out


def test_what_must_not_be_missed_comes_first(llmops: Callable[..., Any], older: Path) -> None:
    lines = llmops("diff", "--against", str(older)).out.splitlines()
    first = lines[lines.index("Look at this first") + 1 :]
    assert first[0].endswith("AWS::DynamoDB::Table Table is replaced: its data goes")
    assert first[2].strip() == "+   Allow s3:GetObject on ```"


def test_the_answer_is_one_json_object(llmops: Callable[..., Any], older: Path) -> None:
    found = llmops("diff", "--against", str(older), "--json").json
    (stack,) = found["stacks"]
    changed = {each["logical_id"]: each for each in stack["resources"]}
    assert changed["Table"]["paths"] == [
        {"path": "Properties.TableName", "before": "a", "after": "b"}
    ]
    assert changed["Policy"]["security"] == ["+ Allow s3:GetObject on ```"]


def test_markdown_is_on_stdout_alone_and_nothing_in_it_ends_its_block(
    llmops: Callable[..., Any], older: Path
) -> None:
    found = llmops("diff", "--against", str(older), "--markdown")
    assert found.out.startswith("### local against ")
    assert found.out.count("```") == 4
    assert "synth" in found.err


def test_a_difference_fails_only_if_asked_to(llmops: Callable[..., Any], older: Path) -> None:
    assert llmops("diff", "--against", str(older), "--exit-code").code == 1


def test_no_difference_is_said_and_never_fails(
    llmops: Callable[..., Any], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = {
        "Resources": {"Table": TABLE | {"Properties": {"TableName": "b"}}, "Policy": POLICY}
    }
    monkeypatch.setattr(DeployedTemplates, "template", lambda *_: template)
    found = llmops("diff", "--exit-code")
    assert (found.code, found.out.splitlines()[-1]) == (
        0,
        "local against what is deployed: no change",
    )


def test_a_stack_that_is_not_deployed_is_new(
    llmops: Callable[..., Any], older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeployedTemplates, "template", lambda *_: None)
    assert "handbook-local-data (new): 2 to add" in llmops("diff").out


def test_two_forms_at_once_are_refused(llmops: Callable[..., Any], older: Path) -> None:
    assert llmops("diff", "--markdown", "--json").code == 2


def test_long_values_are_cut_and_line_ends_do_not_break_lines() -> None:
    found = compare(
        "prod", "x", lambda _: {"Outputs": {"A": "a\nb"}}, {"s": {"Outputs": {"A": "c" * 200}}}
    )
    (line,) = [each for each in diff_tables.text(found) if "Outputs.A" in each]
    assert line.startswith("  ~ Outputs.A: a b -> ccc")
    assert line.endswith("…")
