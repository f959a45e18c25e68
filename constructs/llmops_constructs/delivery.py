"""Who may deploy an environment, and how: GitHub by OpenID Connect, or a pipeline of AWS's own.

A deploy role does what `llmops deploy`, `release`, `promote` and `rollback` ask of AWS for one
environment, and nothing else. It makes no resource itself: CloudFormation does, as the execution
role that `cdk bootstrap` made, and the deploy role may only hand it that role.

What a GitHub workflow's token says about itself, and the audience that AWS asks for:
https://docs.github.com/en/actions/reference/security/oidc
"""

from __future__ import annotations

import re

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from llmops_constructs._deploy_policy import Environment, acknowledge_width, statements
from llmops_constructs._validation import check
from llmops_constructs.names import resource_name

GITHUB = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
REPOSITORY_NAME = re.compile(r"[\w.-]+/[\w.-]+")
REPOSITORY_WITH_IDS = re.compile(r"[\w.-]+@\d+/[\w.-]+@\d+")


class GitHubProvider(Construct):
    """What lets an account trust GitHub's tokens. An account can have it once.

    :param existing_provider: used instead: `OidcProviderNative.from_oidc_provider_arn`.

    Example::

        from aws_cdk import aws_iam as iam
        provider = llm.GitHubProvider(stack, "GitHub")
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        existing_provider: iam.IOidcProvider | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.provider: iam.IOidcProvider = existing_provider or iam.OidcProviderNative(
            self, "Provider", url=f"https://{GITHUB}", client_ids=[AUDIENCE]
        )

    @staticmethod
    def arn(scope: Construct) -> str:
        """The ARN that the provider has in the account of `scope`."""
        return cdk.Stack.of(scope).format_arn(
            service="iam", region="", resource="oidc-provider", resource_name=GITHUB
        )


class DeployRole(Construct):
    """A role that deploys and releases one environment of one service, and no other.

    :param prefix: what the names of the environment's stacks and resources begin with.
    :param service_name: of the ECS service, whose parameter under `/llmops/` says where it is.
    :param environment: the name of the environment.
    :param repository: GitHub's `owner/name`: a workflow of it that runs in the GitHub
        environment `github_environment` gets the role. A repository made or renamed since
        2026-07-15 calls itself `owner@id/name@id` in its tokens: write that. None: give `trusted`.
    :param github_environment: default: the environment's name. Its protection rules, such as a
        person's approval, are what stands between a push and this role.
    :param provider: needed with `repository`.
    :param trusted: who else gets the role, such as a build of a pipeline.
    :param name: what the role's name ends with, after the prefix: an environment that two
        parties deploy has a role for each.
    :param qualifier: of `cdk bootstrap`; default: the CDK's own.

    Example::

        github = llm.GitHubProvider(stack, "GitHub")
        role = llm.DeployRole(
            stack, "Deploy", prefix="answers-prod", service_name="answers", environment="prod",
            repository="example/answers", provider=github.provider,
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        service_name: str,
        environment: str,
        repository: str | None = None,
        github_environment: str | None = None,
        provider: iam.IOidcProvider | None = None,
        trusted: iam.IPrincipal | None = None,
        name: str = "deploy",
        qualifier: str = "hnb659fds",
    ) -> None:
        super().__init__(scope, id)
        check(
            self,
            [
                (
                    not (repository is None or _names_one(repository)),
                    f"repository '{repository}' is not GitHub's owner/name or owner@id/name@id.",
                ),
                (
                    (repository is None) != (provider is None),
                    "repository and provider belong together.",
                ),
                (
                    repository is None and trusted is None,
                    "Nobody would get the role: give repository or trusted.",
                ),
            ],
        )
        principals: list[iam.IPrincipal] = [trusted] if trusted else []
        if repository and provider:
            principals.append(_workflow(provider, repository, github_environment or environment))
        self.role = iam.Role(
            self,
            "Role",
            role_name=resource_name(prefix, name),
            description=f"Deploys and releases {service_name} in {environment}",
            assumed_by=principals[0]
            if len(principals) == 1
            else iam.CompositePrincipal(*principals),
            max_session_duration=cdk.Duration.hours(4),
        )
        where = Environment(prefix, service_name, environment, qualifier)
        for statement in statements(self, where):
            self.role.add_to_policy(statement)
        acknowledge_width(self.role, self, where)


def _names_one(repository: str) -> bool:
    forms = (REPOSITORY_NAME, REPOSITORY_WITH_IDS)
    return any(form.fullmatch(repository) for form in forms)


def _workflow(provider: iam.IOidcProvider, repository: str, environment: str) -> iam.IPrincipal:
    """Workflows of the repository, in its GitHub environment alone."""
    return iam.WebIdentityPrincipal(
        provider.oidc_provider_arn,
        {
            "StringEquals": {
                f"{GITHUB}:aud": AUDIENCE,
                f"{GITHUB}:sub": f"repo:{repository}:environment:{environment}",
            }
        },
    )
