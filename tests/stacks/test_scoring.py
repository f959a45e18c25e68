"""How live answers are scored reaches the container; its key only as a secret."""

from pathlib import Path
from typing import Any

import pytest

from llmops_stacks import build, new_app

from llmops_runbooks import settings  # isort: skip
from llmops_runbooks.errors import SettingsError  # isort: skip

ROOT = Path(__file__).parents[2]
KEY = "arn:aws:secretsmanager:us-east-1:333333333333:secret:scorer-AbCdEf"
SCORED = {
    "LLMOPS_SCORING__SAMPLE": "0.5",
    "LLMOPS_SCORING__URL": "https://models.example.com/v1",
    "LLMOPS_SCORING__MODEL": "judge-1",
    "LLMOPS_SCORING__KEY_SECRET_ARN": KEY,
    "LLMOPS_SCORING__DAILY_BUDGET_USD": "2.5",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Any:
    app = new_app(str(tmp_path_factory.mktemp("scored")))
    build(app, settings.load("prod", file=ROOT / "llmops.toml", variables=SCORED))
    return app.synth().get_stack_by_name("handbook-prod-service").template


def test_the_container_is_told_how_to_score(template: Any) -> None:
    (task,) = of_type(template, "AWS::ECS::TaskDefinition")
    variables = {
        each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]
    }
    assert variables["QUALITY_SAMPLE"] == "0.5"
    assert variables["SCORER_URL"] == "https://models.example.com/v1"
    assert variables["SCORER_MODEL"] == "judge-1"
    assert variables["SCORING_BUDGET_MICRO_USD"] == "2500000"


def test_the_key_is_a_secret_that_only_this_task_may_read(template: Any) -> None:
    (task,) = of_type(template, "AWS::ECS::TaskDefinition")
    secrets = {
        each["Name"]: each["ValueFrom"] for each in task["ContainerDefinitions"][0]["Secrets"]
    }
    assert secrets["SCORER_KEY"] == KEY
    readers = [
        statement
        for policy in of_type(template, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if KEY in str(statement["Resource"])
    ]
    assert len(readers) == 1
    assert KEY in readers[0]["Resource"]
    assert f"{KEY}*" not in str(readers)


def test_a_judge_without_a_model_is_a_mistake_in_the_settings() -> None:
    wrong = {"LLMOPS_SCORING__URL": "https://models.example.com/v1"}
    with pytest.raises(SettingsError, match=r"scoring\.url is set without scoring\.model"):
        settings.load("prod", file=ROOT / "llmops.toml", variables=wrong)


def of_type(template: Any, kind: str) -> list[Any]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]
