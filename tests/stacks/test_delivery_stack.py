"""The delivery stack: from settings to a role for GitHub, a pipeline, or both, alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmops_runbooks.infrastructure_tables import Alerts, Delivery, Encryption
from llmops_runbooks.settings import Environment
from llmops_stacks import new_app
from llmops_stacks.delivery import DeliveryStack

from policies import findings  # isort: skip

CONNECTION = "arn:aws:codeconnections:us-east-1:333333333333:connection/1"
Template = dict[str, Any]
Make = Callable[..., DeliveryStack]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    def build(delivery: Delivery, **settings: Any) -> DeliveryStack:
        environment = Environment(
            name="prod", account="333333333333", delivery=delivery, **settings
        )
        return DeliveryStack(new_app(str(tmp_path_factory.mktemp("delivery"))), environment)

    return build


def template(stack: DeliveryStack) -> Template:
    app = stack.node.root
    folder = Path(app.synth().directory)  # type: ignore[attr-defined]
    found: Template = json.loads((folder / f"{stack.stack_name}.template.json").read_text())
    return found


def kinds(made: Template) -> set[str]:
    return {each["Type"] for each in made["Resources"].values()}


@pytest.fixture(scope="module")
def both(make: Make) -> Template:
    return template(
        make(
            Delivery(repository="example@1/handbook@2", pipeline_connection_arn=CONNECTION),
            encryption=Encryption(customer_key=True),
            alerts=Alerts(emails=("a@example.com",)),
        )
    )


def test_without_a_pipeline_there_is_a_role_and_githubs_provider(make: Make) -> None:
    made = template(make(Delivery(repository="example/handbook")))
    assert kinds(made) == {"AWS::IAM::OIDCProvider", "AWS::IAM::Policy", "AWS::IAM::Role"}


def test_a_provider_that_the_account_has_is_used(make: Make) -> None:
    made = template(make(Delivery(repository="example/handbook", existing_oidc_provider=True)))
    (role,) = [each for each in made["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"]["Federated"].endswith(
        ":333333333333:oidc-provider/token.actions.githubusercontent.com"
    )


def test_it_refers_to_no_other_stack(both: Template) -> None:
    assert "Fn::ImportValue" not in json.dumps(both)


def test_github_and_the_pipeline_have_a_role_each(both: Template) -> None:
    roles = [each for each in both["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    names = {each["Properties"].get("RoleName") for each in roles}
    assert {"handbook-prod-deploy", "handbook-prod-pipeline-deploy"} <= names


def test_the_connection_is_asked_for_the_repository_by_its_plain_name(both: Template) -> None:
    (pipeline,) = [
        each for each in both["Resources"].values() if each["Type"] == "AWS::CodePipeline::Pipeline"
    ]
    stages = pipeline["Properties"]["Stages"]
    source = stages[0]["Actions"][0]["Configuration"]
    assert source["FullRepositoryId"] == "example/handbook"
    assert [stage["Name"] for stage in stages[1:]] == ["Test", "Approve-prod", "Deploy-prod"]


def test_what_is_thrown_away_is_deployed_without_asking_anybody(make: Make) -> None:
    stack = make(
        Delivery(repository="example/handbook", pipeline_connection_arn=CONNECTION),
        throw_away=True,
    )
    assert "Approve-prod" not in json.dumps(template(stack))


def test_it_is_wanted_where_a_repository_is_named() -> None:
    def wanted(**delivery: Any) -> bool:
        return DeliveryStack.wanted(
            Environment(name="prod", account="333333333333", delivery=Delivery(**delivery))
        )

    assert wanted(repository="example/handbook")
    assert not wanted()


def test_the_policy_packs_find_nothing(make: Make) -> None:
    stack = make(
        Delivery(repository="example/handbook", pipeline_connection_arn=CONNECTION),
        encryption=Encryption(customer_key=True),
        alerts=Alerts(emails=("a@example.com",)),
    )
    assert findings(stack) == []
