"""Secrets, and what gives them a new value."""

import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import brought_along
import kit_parts
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, only

from llmops_constructs import ExplicitStack, InvalidConstruct, ServiceSecrets
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.rotation import DatabaseUserRotation, TokenRotation

Stacks = Callable[..., ExplicitStack]
ROTATES = {
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
}
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:%s-AbCdEf"


def secret(stack: ExplicitStack, name: str) -> secretsmanager.ISecret:
    return secretsmanager.Secret.from_secret_complete_arn(stack, name, ARN % name)


def code() -> dict[str, Any]:
    return {
        "prefix": "handbook-test",
        "code": lambda_.Code.from_inline(kit_parts.CODE),
        "handler": "index.handler",
    }


def token_rotation(stack: ExplicitStack, **given: Any) -> TokenRotation:
    return TokenRotation(
        stack, "Rotation", **{"tokens": secret(stack, "tokens"), **code(), **given}
    )


def user_rotation(stack: ExplicitStack, **given: Any) -> DatabaseUserRotation:
    database = brought_along.Postgres(
        secret(stack, "master"),
        ec2.SecurityGroup.from_security_group_id(stack, "Db", "sg-0123456789abcdef0"),
        host="db.example.com",
    )
    vpc = kit_parts.one_subnet(stack)
    place = {"vpc": vpc, "vpc_subnets": ec2.SubnetSelection(subnets=vpc.private_subnets)}
    return DatabaseUserRotation(
        stack, "User", **{"database": database, "user": "handbook", **place, **code(), **given}
    )


@pytest.fixture(scope="module")
def tokens(alone: Alone) -> Template:
    return alone(token_rotation)


@pytest.fixture(scope="module")
def user(alone: Alone) -> Template:
    return alone(user_rotation)


@pytest.fixture(scope="module")
def guarded(new_stack: Stacks) -> ExplicitStack:
    """Everything with a key of its own, as in production."""
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    secrets = ServiceSecrets(
        stack,
        "Secrets",
        rotated=True,
        providers=["openai"],
        with_langfuse=True,
        encryption_key=key,
    )
    client = {"web": secret(stack, "web")}
    token_rotation(stack, tokens=secrets.tokens, clients=client, encryption_key=key, days=7)
    user_rotation(
        stack,
        encryption_key=key,
        iam_user="handbook_iam",
        adopt_tables=True,
        authorities="/var/task/rds.pem",
    )
    return stack


@pytest.fixture(scope="module")
def unanswered(guarded: ExplicitStack) -> list[str]:
    return findings(guarded)


@pytest.fixture(scope="module")
def production(guarded: ExplicitStack, unanswered: list[str]) -> Template:
    assert isinstance(unanswered, list)
    return Template.from_stack(guarded)


def allowed(template: Template, prefix: str = "") -> dict[str, Any]:
    """Action -> resources, of the role of a function."""
    found: dict[str, Any] = {}
    for statement in only(template, "AWS::IAM::Policy", prefix)["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        for action in _listed(actions):
            if statement["Effect"] == "Allow":
                found.setdefault(action, []).extend(_listed(statement["Resource"]))
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_token_rotation_is_what_was_reviewed(
    tokens: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(tokens, "token_rotation")


def test_the_user_rotation_is_what_was_reviewed(
    user: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(user, "database_user_rotation")


def test_tokens_change_every_thirty_days_and_not_when_the_template_does(tokens: Template) -> None:
    schedule = only(tokens, "AWS::SecretsManager::RotationSchedule")
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert schedule["RotateImmediatelyOnUpdate"] is False
    assert schedule["SecretId"] == ARN % "tokens"


def test_the_user_is_made_as_soon_as_there_is_a_schedule(user: Template) -> None:
    schedule = only(user, "AWS::SecretsManager::RotationSchedule")
    assert schedule["RotateImmediatelyOnUpdate"] is True


@pytest.mark.parametrize("which", ["tokens", "user"])
def test_only_secrets_manager_of_this_account_calls_the_function(
    which: str, request: pytest.FixtureRequest
) -> None:
    permission = only(request.getfixturevalue(which), "AWS::Lambda::Permission")
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == "123456789012"
    assert permission["Action"] == "lambda:InvokeFunction"


@pytest.mark.parametrize("which", ["tokens", "user"])
def test_nothing_rotates_before_the_function_may_do_its_work(
    which: str, request: pytest.FixtureRequest
) -> None:
    template = request.getfixturevalue(which)
    (schedule,) = template.find_resources("AWS::SecretsManager::RotationSchedule").values()
    needed = {
        name
        for kind in (
            "AWS::Lambda::Permission",
            "AWS::IAM::Policy",
            "AWS::EC2::SecurityGroupIngress",
        )
        for name in template.find_resources(kind)
    }
    assert needed <= set(schedule["DependsOn"])


def test_the_function_rotates_one_secret(tokens: Template) -> None:
    found = allowed(tokens)
    assert {action for action in found if action.startswith("secretsmanager:")} == ROTATES
    assert all(found[action] == [ARN % "tokens"] for action in ROTATES)


def test_the_masters_secret_is_only_read(user: Template) -> None:
    found = allowed(user)
    master = ARN % "master"
    assert master in found["secretsmanager:GetSecretValue"]
    writes = ROTATES - {"secretsmanager:GetSecretValue"}
    assert all(master not in found[action] for action in writes)


def test_the_password_is_made_by_secrets_manager_and_is_in_no_template(user: Template) -> None:
    made = only(user, "AWS::SecretsManager::Secret")["GenerateSecretString"]
    assert json.loads(made["SecretStringTemplate"]) == {"username": "handbook_a"}
    assert made["GenerateStringKey"] == "password" and made["PasswordLength"] == 48


def test_the_way_to_the_database_is_open_on_both_sides(user: Template) -> None:
    inside = only(user, "AWS::EC2::SecurityGroupIngress")
    assert (inside["GroupId"], inside["FromPort"], inside["ToPort"]) == (
        "sg-0123456789abcdef0",
        5432,
        5432,
    )
    ways = only(user, "AWS::EC2::SecurityGroup")["SecurityGroupEgress"]
    assert {way["ToPort"] for way in ways} == {443, 5432}


def test_the_function_is_told_where_the_database_is(user: Template) -> None:
    variables = only(user, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables == {
        "MASTER_SECRET_ARN": ARN % "master",
        "DATABASE_HOST": "db.example.com",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "handbook",
    }


def test_what_is_asked_for_reaches_the_function(production: Template) -> None:
    user = only(production, "AWS::Lambda::Function", "User")["Environment"]["Variables"]
    assert user["DATABASE_IAM_USER"] == "handbook_iam"
    assert user["ADOPT_TABLES"] == "true"
    assert user["DATABASE_CA_BUNDLE"] == "/var/task/rds.pem"
    tokens = only(production, "AWS::Lambda::Function", "Rotation")["Environment"]["Variables"]
    assert json.loads(tokens["CLIENT_SECRETS"]) == {"web": ARN % "web"}


def test_a_clients_secret_may_be_written_too(production: Template) -> None:
    assert ARN % "web" in allowed(production, "Rotation")["secretsmanager:PutSecretValue"]


def test_a_secret_of_ones_own_key_can_be_read_and_written(production: Template) -> None:
    for prefix in ("Rotation", "User"):
        policy = only(production, "AWS::IAM::Policy", prefix)["PolicyDocument"]["Statement"]
        (key,) = [each for each in policy if "kms:GenerateDataKey" in each["Action"]]
        context = key["Condition"]["StringEquals"]
        assert context["kms:ViaService"] == "secretsmanager.us-east-1.amazonaws.com"
        assert "kms:EncryptionContext:SecretARN" in context


def test_the_four_packs_find_nothing(unanswered: list[str]) -> None:
    assert unanswered == []


def test_rotated_from_another_stack_a_secret_is_not_found_unscheduled(new_stack: Stacks) -> None:
    """The packs look for the schedule in the secret's own stack only."""
    alone, below = new_stack(), new_stack("below")
    ServiceSecrets(alone, "Secrets", rotated=True)
    app = below.node.root
    assert isinstance(app, cdk.App)
    zones = below.availability_zones
    above = ExplicitStack(
        app, "above", account=below.account, region=below.region, availability_zones=zones
    )
    token_rotation(above, tokens=ServiceSecrets(below, "Secrets", rotated=True).tokens)
    assert any("AwsSolutions-SMG4" in each for each in findings(alone))
    assert not any("SMG4" in each or "RotationEnabled" in each for each in findings(above))


def test_an_existing_secret_is_used(new_stack: Stacks) -> None:
    stack = new_stack()
    made = user_rotation(stack, existing_secret=secret(stack, "user"))
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SecretsManager::Secret", 0)
    assert stack.resolve(made.secret.secret_arn) == ARN % "user"


def test_a_failed_step_is_one_of_the_functions_errors(new_stack: Stacks) -> None:
    metric = token_rotation(new_stack()).failures
    assert (metric.namespace, metric.metric_name) == ("AWS/Lambda", "Errors")
    assert metric.statistic == "Sum"


@pytest.mark.parametrize(
    "given",
    [
        {"days": 0},
        {"days": 1001},
        {"user": "2handbook"},
        {"user": "hand-book"},
        {"user": "h" * 62},
        {"iam_user": "handbook_a"},
    ],
)
def test_what_cannot_be_is_refused(new_stack: Stacks, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidConstruct):
        user_rotation(new_stack(), **given)


def test_keys_that_a_person_issues_begin_empty(production: Template) -> None:
    found = production.find_resources("AWS::SecretsManager::Secret").values()
    given = [each["Properties"].get("SecretString") for each in found]
    texts = sorted(text for text in given if text)
    assert texts == ['{"key": ""}', '{"public_key": "", "secret_key": ""}']


def test_every_secret_has_the_key_it_is_given(production: Template) -> None:
    secrets = production.find_resources("AWS::SecretsManager::Secret").values()
    assert len(secrets) == 4
    assert all("KmsKeyId" in each["Properties"] for each in secrets)


def test_tokens_of_ones_own_are_used(new_stack: Stacks) -> None:
    stack = new_stack()
    made = ServiceSecrets(stack, "Secrets", existing_tokens=secret(stack, "mine"))
    assert len(made.node.children) == 0
    assert made.tokens.secret_arn == ARN % "mine"
    assert made.langfuse is None and not made.provider_keys


def test_secrets_without_a_rotation_say_why(new_stack: Stacks) -> None:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-test").key
    ServiceSecrets(stack, "Secrets", encryption_key=key)
    assert findings(stack) == []


def test_mistakes_in_secrets_are_said_together(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        ServiceSecrets(
            new_stack(), "Secrets", token_length=8, providers=["OpenAI", "bedrock", "bedrock"]
        )
    assert len(caught.value.mistakes) == 3


def test_secrets_stay_unless_they_may_go(new_stack: Stacks) -> None:
    stack = new_stack()
    ServiceSecrets(stack, "Kept", providers=["openai"])
    ServiceSecrets(stack, "Gone", removal_policy=cdk.RemovalPolicy.DESTROY)
    found = Template.from_stack(stack).find_resources("AWS::SecretsManager::Secret")
    policies = {name[:4]: resource["DeletionPolicy"] for name, resource in found.items()}
    assert policies == {"Kept": "Retain", "Gone": "Delete"}
