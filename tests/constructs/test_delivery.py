"""Who gets a deploy role, and on what terms."""

from collections.abc import Callable
from typing import Any

import pytest
from policies import findings
from resources_made import resources_made
from templates import Alone

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.delivery import DeployRole, GitHubProvider

from aws_cdk import aws_iam as iam  # isort: skip
from aws_cdk.assertions import Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
GITHUB = "token.actions.githubusercontent.com"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{GITHUB}"
WHERE: dict[str, Any] = {"prefix": "answers-prod", "service_name": "answers", "environment": "prod"}


def deployed(stack: ExplicitStack, **arguments: Any) -> DeployRole:
    github = GitHubProvider(stack, "GitHub")
    return DeployRole(
        stack,
        "Deploy",
        **WHERE,
        **({"repository": "example/answers", "provider": github.provider} | arguments),
    )


@pytest.fixture(scope="module")
def template(alone: Alone) -> Template:
    return alone(deployed)


def trusts(template: Template) -> list[dict[str, Any]]:
    """The statements that say who gets the role."""
    (role,) = template.find_resources("AWS::IAM::Role").values()
    found: list[dict[str, Any]] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    return found


def test_the_smallest_form_is_as_reviewed(
    template: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(template, "delivery")


def test_the_account_trusts_githubs_tokens_meant_for_aws(template: Template) -> None:
    template.has_resource_properties(
        "AWS::IAM::OIDCProvider",
        {"Url": f"https://{GITHUB}", "ClientIdList": ["sts.amazonaws.com"]},
    )


def test_one_environment_of_one_repository_gets_the_role(template: Template) -> None:
    (trust,) = trusts(template)
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"] == {
        "StringEquals": {
            f"{GITHUB}:aud": "sts.amazonaws.com",
            f"{GITHUB}:sub": "repo:example/answers:environment:prod",
        }
    }


def test_a_canary_of_some_hours_fits_into_a_session_and_the_name_is_known(
    template: Template,
) -> None:
    template.has_resource_properties(
        "AWS::IAM::Role", {"MaxSessionDuration": 14400, "RoleName": "answers-prod-deploy"}
    )


def test_a_repository_may_be_named_with_its_immutable_ids_and_another_environment(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    deployed(stack, repository="example@12/answers@34", github_environment="production")
    (trust,) = trusts(synthesized(stack))
    subject = trust["Condition"]["StringEquals"][f"{GITHUB}:sub"]
    assert subject == "repo:example@12/answers@34:environment:production"


def test_a_provider_that_is_there_is_used(new_stack: Stacks) -> None:
    stack = new_stack()
    theirs = iam.OidcProviderNative.from_oidc_provider_arn(
        stack, "Theirs", GitHubProvider.arn(stack)
    )
    github = GitHubProvider(stack, "GitHub", existing_provider=theirs)
    assert resources_made(stack) == []
    assert github.provider.oidc_provider_arn == PROVIDER


def test_somebody_else_may_be_trusted_instead(new_stack: Stacks, synthesized: Synthesized) -> None:
    stack = new_stack()
    builds = iam.ServicePrincipal("codebuild.amazonaws.com")
    DeployRole(stack, "Deploy", **WHERE, trusted=builds, name="pipeline-deploy")
    (trust,) = trusts(synthesized(stack))
    assert trust["Principal"] == {"Service": "codebuild.amazonaws.com"}


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"repository": "answers"}, "not GitHub's owner/name"),
        ({"repository": "example/answers:*"}, "not GitHub's owner/name"),
        ({"repository": "example@1/answers"}, "not GitHub's owner/name"),
        ({"provider": None}, "belong together"),
        ({"repository": None, "provider": None}, "Nobody would get the role"),
    ],
)
def test_a_role_for_everyone_or_nobody_is_refused(
    new_stack: Stacks, arguments: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(InvalidConstruct, match=mistake):
        deployed(new_stack(), **arguments)


def test_the_policy_packs_find_nothing(new_stack: Stacks) -> None:
    stack = new_stack()
    deployed(stack)
    assert findings(stack) == []
