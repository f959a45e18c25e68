"""cdk-nag's AWS Solutions rules and the CDK's own validation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_s3 as s3

from llmops_constructs import ExplicitStack
from llmops_runbooks import settings
from llmops_stacks import add_checks, new_app

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("environment", settings.names(ROOT / "llmops.toml"))
def test_no_finding_is_left_unanswered(assembly: Callable[[str], Any], environment: str) -> None:
    reports = assembly(environment).json("validation-report.json")["pluginReports"]
    checked = {report["pluginName"]: report for report in reports}
    assert {"AwsSolutions", "CloudFormation Validate"} <= set(checked)
    for name, report in checked.items():
        assert report["conclusion"] == "success", name
        assert report["violations"] == [], name


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_each_acknowledgement_gives_its_reason(
    assembly: Callable[[str], Any], environment: str
) -> None:
    reports = assembly(environment).json("validation-report.json")["pluginReports"]
    reasons = [_reasons(answer) for report in reports for answer in report["suppressedViolations"]]
    assert reasons
    assert all(len(reason) > 20 for found in reasons for reason in found)


def test_an_unanswered_finding_stops_synthesis(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    stack = ExplicitStack(
        app, "open", account="123456789012", region="us-east-1", availability_zones=()
    )
    s3.Bucket(stack, "Bucket")
    add_checks(app)
    with pytest.raises(RuntimeError, match="Validation failed"):
        app.synth()


def _reasons(answer: Any) -> list[str]:
    if isinstance(answer, dict):
        own = [answer["reason"]] if isinstance(answer.get("reason"), str) else []
        return own + [text for value in answer.values() for text in _reasons(value)]
    if isinstance(answer, list):
        return [text for item in answer for text in _reasons(item)]
    return []
