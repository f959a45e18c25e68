"""cdk-nag's packs and the CDK's own validation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_s3 as s3

from llmops_constructs import ExplicitStack
from llmops_runbooks import settings
from llmops_stacks import add_checks, new_app
from llmops_stacks.checks import PACKS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("environment", settings.names(ROOT / "llmops.toml"))
def test_no_finding_is_left_unanswered(assembly: Callable[[str], Any], environment: str) -> None:
    """Synthesis would have stopped; a plugin without violations may be absent from the report."""
    reports = assembly(environment).json("validation-report.json")["pluginReports"]
    assert "CloudFormation Validate" in {report["pluginName"] for report in reports}
    for report in reports:
        assert report["conclusion"] == "success"
        assert report["violations"] == []


def test_production_passes_every_pack(prod: Any) -> None:
    assert set(prod.environment.policies) == set(PACKS)


def test_each_acknowledgement_gives_its_reason(prod: Any) -> None:
    answers: dict[str, str] = {}
    for file in prod.folder.glob("*.metadata.json"):
        for found in _entries(json.loads(file.read_text()), "aws:cdk:acknowledged-rules"):
            answers |= found
    assert len(answers) > 10
    assert [rule for rule, reason in answers.items() if len(reason) < 20] == []


def test_the_cdk_warns_of_nothing(prod: Any) -> None:
    for file in prod.folder.glob("*.metadata.json"):
        assert _entries(json.loads(file.read_text()), "aws:cdk:warning") == []


def test_an_unanswered_finding_stops_synthesis(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    stack = ExplicitStack(
        app, "open", account="123456789012", region="us-east-1", availability_zones=()
    )
    s3.Bucket(stack, "Bucket")
    add_checks(app, settings.load("dev", file=ROOT / "llmops.toml", variables={}))
    with pytest.raises(RuntimeError, match="AwsSolutions-S10"):
        app.synth()


def _entries(metadata: dict[str, list[dict[str, Any]]], kind: str) -> list[Any]:
    return [item["data"] for items in metadata.values() for item in items if item["type"] == kind]
