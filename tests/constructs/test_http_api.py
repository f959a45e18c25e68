"""The HTTP API in front of a function: who is let through, how often, and what is written down."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_route53 as route53
from aws_cdk.assertions import Template
from policies import findings
from templates import Alone, only

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.domain import Domain
from llmops_constructs.http_api import LOGGED, FunctionApi
from llmops_constructs.keys import EncryptionKey

Stacks = Callable[..., ExplicitStack]


def api(stack: ExplicitStack, **changes: Any) -> FunctionApi:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:answers:live"
    function = lambda_.Function.from_function_attributes(
        stack, "Answers", function_arn=arn, same_environment=True
    )
    return FunctionApi(
        stack, "Api", **({"prefix": "handbook-test", "function": function} | changes)
    )


@pytest.fixture(scope="module")
def stack(new_stack: Stacks) -> ExplicitStack:
    made = new_stack()
    zone = route53.HostedZone.from_hosted_zone_attributes(
        made, "Zone", hosted_zone_id="Z0123456789", zone_name="example.org"
    )
    domain = Domain(made, "Domain", name="handbook.example.org", hosted_zone=zone)
    key = EncryptionKey(made, "Key", alias="handbook-test").key
    api(made, domain=domain, encryption_key=key, requests_per_second=20, burst=40)
    return made


@pytest.fixture(scope="module")
def template(stack: ExplicitStack) -> Template:
    return Template.from_stack(stack)


@pytest.fixture(scope="module")
def plain(alone: Alone) -> Template:
    return alone(api)


def test_the_plain_form_is_as_reviewed(
    plain: Template, snapshot: Callable[[Template, str], None]
) -> None:
    snapshot(plain, "http_api")


def test_no_pack_finds_anything_unanswered(stack: ExplicitStack, template: Template) -> None:
    assert template and findings(stack) == []


def test_every_request_goes_to_the_function_and_no_other_origin_is_answered(
    plain: Template,
) -> None:
    assert only(plain, "AWS::ApiGatewayV2::Route")["RouteKey"] == "$default"
    assert "CorsConfiguration" not in only(plain, "AWS::ApiGatewayV2::Api")


def test_more_than_the_rate_is_refused(plain: Template, template: Template) -> None:
    for each, rate, burst in ((plain, 50, 100), (template, 20, 40)):
        found = only(each, "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"]
        assert (found["ThrottlingRateLimit"], found["ThrottlingBurstLimit"]) == (rate, burst)


def test_the_access_log_is_encrypted_and_holds_no_token(template: Template) -> None:
    log = only(template, "AWS::Logs::LogGroup")
    assert log["LogGroupName"] == "/aws/vendedlogs/llmops/handbook-test/api"
    assert "KmsKeyId" in log
    settings = only(template, "AWS::ApiGatewayV2::Stage")["AccessLogSettings"]
    assert json.loads(settings["Format"]) == LOGGED
    assert not {"authorization", "querystring"} & set(settings["Format"].lower().split("."))


def test_behind_a_name_its_own_address_is_closed(plain: Template, template: Template) -> None:
    assert only(template, "AWS::ApiGatewayV2::Api")["DisableExecuteApiEndpoint"] is True
    assert "DisableExecuteApiEndpoint" not in only(plain, "AWS::ApiGatewayV2::Api")
    (name,) = only(template, "AWS::ApiGatewayV2::DomainName")["DomainNameConfigurations"]
    assert (name["SecurityPolicy"], name["IpAddressType"]) == ("TLS_1_2", "dualstack")


def test_the_name_has_records_for_both_kinds_of_addresses(template: Template) -> None:
    records = template.find_resources("AWS::Route53::RecordSet").values()
    assert sorted(
        each["Properties"]["Type"] for each in records if "AliasTarget" in each["Properties"]
    ) == ["A", "AAAA"]


def test_what_api_gateway_would_refuse_is_said_at_once(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        api(new_stack(), requests_per_second=0, burst=6000)
    assert len(caught.value.mistakes) == 2
