"""An HTTP API of API Gateway in front of one Lambda function.

What it cannot do is as important as what it costs (a dollar per million requests, nothing while
nobody asks): it gives up on a function after 30 seconds, a quota AWS does not raise, and AWS WAF
knows no association with it. Who needs a firewall or longer answers takes a load balancer.

Its log is delivered by CloudWatch Logs' own service, which names every log group it writes to in a
resource policy of 5,120 characters at most; groups below `/aws/vendedlogs/` need no name there
("Enable logging from AWS services", CloudWatch Logs user guide). Hence the name of the group.
"""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53_targets as targets
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from llmops_constructs._findings import acknowledge
from llmops_constructs._logs import log_group
from llmops_constructs._validation import check, outside
from llmops_constructs.domain import Domain
from llmops_constructs.names import log_group_name
from llmops_constructs.waf import WebAcl

ACCOUNT_REQUESTS, ACCOUNT_BURST = 10_000, 5_000
"""API Gateway's quotas for all APIs of an account and region, per second and at once."""
VENDED = "/aws/vendedlogs"

LOGGED = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "address": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "milliseconds": "$context.responseLatency",
    "integrationMilliseconds": "$context.integrationLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}
"""A line of the access log. Neither the query nor a header is in it: a token may be in both."""


class FunctionApi(Construct):
    """Every path and method of an HTTP API goes to a function (payload format 2.0).

    There is no authorizer: the function is to refuse strangers itself, as the service does with
    bearer tokens. Browsers of other origins are not answered (no CORS).

    :param prefix: name of the API, and what its log group's name is made of.
    :param function: an alias of it, so that versions can be exchanged behind the API.
    :param domain: its name and certificate; the API then answers to that name alone. Default: the
        name API Gateway gives it.
    :param requests_per_second: that the API lets through, to all clients together; what is
        beyond gets status 429.
    :param burst: requests at once, above that rate.
    :param web_acl: refused: AWS WAF cannot be associated with an HTTP API.
    :param encryption_key: of the access log; its policy must let CloudWatch Logs in. Default:
        CloudWatch Logs' own key.
    :param removal_policy: of the access log; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        function = lambda_.Function(
            stack,
            "Answer",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
        )
        api = llm.FunctionApi(stack, "Api", prefix="handbook-prod", function=function)
        cdk.CfnOutput(stack, "Url", value=api.url)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        function: lambda_.IFunction,
        domain: Domain | None = None,
        requests_per_second: float = 50,
        burst: int = 100,
        web_acl: WebAcl | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self._check(requests_per_second, burst, web_acl)
        self.log_group = log_group(
            self,
            "Logs",
            name=VENDED + log_group_name(prefix, "api"),
            retention=log_retention,
            encryption_key=encryption_key,
            removal_policy=removal_policy,
        )
        self.api = apigateway.HttpApi(
            self,
            "Api",
            api_name=prefix,
            create_default_stage=False,
            default_integration=HttpLambdaIntegration("Function", function),
            disable_execute_api_endpoint=True if domain else None,
            ip_address_type=apigateway.IpAddressType.DUAL_STACK,
        )
        name = self._name(domain) if domain else None
        self.stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigateway.ThrottleSettings(rate_limit=requests_per_second, burst_limit=burst),
            domain_mapping=apigateway.DomainMappingOptions(domain_name=name) if name else None,
        )
        self._log()
        self.url = f"https://{domain.name}" if domain else self.api.api_endpoint
        self._acknowledge()

    def _check(self, rate: float, burst: int, web_acl: WebAcl | None) -> None:
        check(
            self,
            [
                (
                    web_acl is not None,
                    "AWS WAF cannot be associated with an HTTP API: drop web_acl, or put the "
                    "service behind a load balancer.",
                ),
                (
                    outside(rate, 1, ACCOUNT_REQUESTS),
                    f"requests_per_second is {rate}; it must be 1 to {ACCOUNT_REQUESTS}.",
                ),
                (
                    outside(burst, 1, ACCOUNT_BURST),
                    f"burst is {burst}; it must be 1 to {ACCOUNT_BURST}.",
                ),
            ],
        )

    def _log(self) -> None:
        stage = self.stage.node.default_child
        assert isinstance(stage, apigateway.CfnStage)
        stage.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=self.log_group.log_group_arn, format=json.dumps(LOGGED)
        )

    def _name(self, domain: Domain) -> apigateway.DomainName:
        """The name as API Gateway knows it, and its records in the zone."""
        name = apigateway.DomainName(
            self,
            "Name",
            domain_name=domain.name,
            certificate=domain.certificate,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            ip_address_type=apigateway.IpAddressType.DUAL_STACK,
        )
        target = targets.ApiGatewayv2DomainProperties(
            name.regional_domain_name, name.regional_hosted_zone_id
        )
        domain.add_records(self, target)
        return name

    def _acknowledge(self) -> None:
        reason = (
            "The function refuses requests without one of the service's bearer tokens itself, in "
            "constant time and against a secret that rotates; an authorizer would be a second "
            "function that reads the same secret, and would close the health checks."
        )
        for route in self.api.node.find_all():
            if isinstance(route, apigateway.CfnRoute):
                acknowledge(route, "AwsSolutions-APIG4", reason)
