"""Who may see a page: Elastic Load Balancing signs visitors in before it forwards a request.

The provider has to know `https://<name of the page>/oauth2/idpresponse` as a place to come back to
("Authenticate users using an Application Load Balancer").
"""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_elasticloadbalancingv2_actions as actions
from aws_cdk import aws_secretsmanager as secretsmanager

from llmops_constructs._validation import Rule, outside

LONGEST_HOURS = 168
"""ELB's limit of a session, seven days."""


@dataclass(frozen=True, kw_only=True)
class CognitoLogin:
    """Visitors are users of a Cognito pool; the client has a secret and grants codes."""

    user_pool: cognito.IUserPool
    client: cognito.IUserPoolClient
    domain: cognito.IUserPoolDomain
    session_hours: int = 12

    def before(self, next: elbv2.ListenerAction) -> elbv2.ListenerAction:
        """Signs in, then does `next`."""
        return actions.AuthenticateCognitoAction(
            next=next,
            user_pool=self.user_pool,
            user_pool_client=self.client,
            user_pool_domain=self.domain,
            session_timeout=cdk.Duration.hours(self.session_hours),
        )


@dataclass(frozen=True, kw_only=True)
class OidcLogin:
    """Visitors come from an OpenID Connect provider whose endpoints are reached over the internet.

    The client's secret stays in Secrets Manager: CloudFormation reads it when it makes the
    listener, and the template has a reference. `client_secret_field` is its key if it is JSON.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    user_info_endpoint: str
    client_id: str
    client_secret: secretsmanager.ISecret
    client_secret_field: str | None = None
    session_hours: int = 12

    def before(self, next: elbv2.ListenerAction) -> elbv2.ListenerAction:
        """Signs in, then does `next`."""
        whole, field = self.client_secret, self.client_secret_field
        return elbv2.ListenerAction.authenticate_oidc(
            next=next,
            issuer=self.issuer,
            authorization_endpoint=self.authorization_endpoint,
            token_endpoint=self.token_endpoint,
            user_info_endpoint=self.user_info_endpoint,
            client_id=self.client_id,
            client_secret=whole.secret_value_from_json(field) if field else whole.secret_value,
            session_timeout=cdk.Duration.hours(self.session_hours),
        )


Login = CognitoLogin | OidcLogin


def login_rules(login: Login | None) -> list[Rule]:
    """What a login may not be."""
    if login is None:
        return []
    return [
        (
            outside(login.session_hours, 1, LONGEST_HOURS),
            f"login.session_hours is {login.session_hours}; ELB allows 1 to {LONGEST_HOURS}.",
        )
    ]
