"""The page stack: where people ask."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from llmops_constructs import CognitoLogin, UiService
from llmops_runbooks.settings import Environment
from llmops_stacks.base import EnvironmentStack
from llmops_stacks.routing import domain_of
from llmops_stacks.service import Below, ServiceStack, architecture_of


class PageStack(EnvironmentStack):
    """The page behind a load balancer of its own, and who may sign in."""

    def __init__(
        self, scope: Construct, environment: Environment, below: Below, service: ServiceStack
    ) -> None:
        super().__init__(scope, "page", environment)
        page = environment.page
        assert page.image is not None, "build() makes a page where there is an image"
        domain = None
        if page.domain:
            domain = domain_of(self, "Domain", environment, page.domain, page.certificate_arn)
        login = None
        if page.login == "cognito" and page.domain:
            login = self._login(environment, page.domain)
        self.page = UiService(
            self,
            "Page",
            prefix=environment.prefix,
            vpc=below.network.vpc,
            vpc_subnets=below.network.service_subnets,
            assign_public_ip=below.network.assign_public_ip,
            image_uri=f"{below.data.images.repository.repository_uri}@{page.image}",
            repository=below.data.images.repository,
            service=below.routing,
            token_secret=below.data.secrets.tokens,
            existing_cluster=service.service.cluster,
            cpu_architecture=architecture_of(environment),
            internet_facing=environment.edge.internet_facing,
            load_balancer_subnets=below.network.public_subnets
            if environment.edge.internet_facing
            else None,
            domain=domain,
            login=login,
            access_log_bucket=below.common.access_log_bucket,
            web_acl=below.web_acl,
            deletion_protection=not self.throw_away,
            encryption_key=below.common.key,
            removal_policy=self.removal_policy,
        )
        cdk.CfnOutput(self, "PageUrl", value=self.page.url)

    def _login(self, environment: Environment, domain: str) -> CognitoLogin:
        """Users that an administrator invites, with a second factor."""
        pool = cognito.UserPool(
            self,
            "Users",
            user_pool_name=environment.prefix,
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=14,
                require_digits=True,
                require_lowercase=True,
                require_uppercase=True,
                require_symbols=True,
            ),
            feature_plan=cognito.FeaturePlan.PLUS,
            standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION,
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=not self.throw_away,
            removal_policy=self.removal_policy,
        )
        client = pool.add_client(
            "Client",
            generate_secret=True,
            prevent_user_existence_errors=True,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID],
                callback_urls=[f"https://{domain}/oauth2/idpresponse"],
            ),
        )
        prefix = pool.add_domain(
            "SignIn",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"{environment.prefix}-{environment.account[-4:]}"
            ),
        )
        return CognitoLogin(user_pool=pool, client=client, domain=prefix)
