from collections.abc import Callable, Mapping
from typing import Any

import pytest
from policies import findings
from templates import Alone

from llmops_constructs import ExplicitStack, InvalidConstruct  # before aws_cdk
from llmops_constructs.waf import BODY_RULES, MANAGED_RULE_GROUPS, WebAcl

from aws_cdk import aws_kms as kms  # isort: skip
from aws_cdk import aws_wafv2 as wafv2  # isort: skip
from aws_cdk.assertions import Match, Template  # isort: skip

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]
WEB_ACL = "AWS::WAFv2::WebACL"
ASSOCIATION = "AWS::WAFv2::WebACLAssociation"
STAGE = "arn:aws:apigateway:us-east-1::/restapis/abc/stages/live"
POOL = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc"


@pytest.fixture(scope="module")
def minimal(alone: Alone) -> Template:
    return alone(lambda stack: WebAcl(stack, "WebAcl", prefix="handbook-prod").attach(STAGE))


@pytest.fixture(scope="module")
def production(new_stack: Stacks) -> ExplicitStack:
    stack = new_stack()
    web_acl = WebAcl(
        stack,
        "WebAcl",
        prefix="handbook-prod",
        rate_limit=500,
        managed_rule_groups=("AWSManagedRulesCommonRuleSet",),
        counted_rules={"AWSManagedRulesCommonRuleSet": ("NoUserAgent_HEADER",)},
        encryption_key=kms.Key(stack, "Key", enable_key_rotation=True),
    )
    web_acl.attach(STAGE)
    web_acl.attach(POOL)
    return stack


@pytest.fixture(scope="module")
def found(production: ExplicitStack) -> list[str]:
    return findings(production)


@pytest.fixture(scope="module")
def chosen(production: ExplicitStack, found: list[str]) -> Template:
    return Template.from_stack(production)


def rules(template: Template) -> list[Mapping[str, Any]]:
    (web_acl,) = template.find_resources(WEB_ACL).values()
    return sorted(web_acl["Properties"]["Rules"], key=lambda rule: int(rule["Priority"]))


def counted(rule: Mapping[str, Any]) -> list[str]:
    group = rule["Statement"]["ManagedRuleGroupStatement"]
    return [
        each["Name"]
        for each in group.get("RuleActionOverrides", [])
        if each["ActionToUse"] == {"Count": {}}
    ]


def test_the_minimal_web_acl_is_as_reviewed(minimal: Template, snapshot: Snapshot) -> None:
    snapshot(minimal, "web_acl")


def test_no_pack_finds_anything(found: list[str]) -> None:
    assert found == []


def test_an_address_has_a_limit_and_then_the_managed_groups_are_asked(minimal: Template) -> None:
    limit, *groups = rules(minimal)
    statement = limit["Statement"]["RateBasedStatement"]
    assert statement == {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 2000}
    assert limit["Action"] == {"Block": {}}
    assert tuple(rule["Name"] for rule in groups) == MANAGED_RULE_GROUPS


def test_a_prompt_is_not_refused_for_its_length_or_what_it_quotes(minimal: Template) -> None:
    found = {rule["Name"]: counted(rule) for rule in rules(minimal)[1:]}
    common = found.pop("AWSManagedRulesCommonRuleSet")
    assert "SizeRestrictions_BODY" in common
    assert set(common) == set(BODY_RULES["AWSManagedRulesCommonRuleSet"])
    assert all(rule.endswith("_BODY") for rule in common)
    assert not any(found.values())


def test_groups_counted_rules_and_limit_are_a_matter_of_choice(chosen: Template) -> None:
    limit, common = rules(chosen)
    assert limit["Statement"]["RateBasedStatement"]["Limit"] == 500
    assert counted(common) == ["NoUserAgent_HEADER"]


def test_refused_and_counted_requests_are_logged_with_the_key_given(chosen: Template) -> None:
    chosen.has_resource_properties(
        "AWS::Logs::LogGroup",
        {
            "LogGroupName": "aws-waf-logs-handbook-prod",
            "RetentionInDays": 30,
            "KmsKeyId": Match.object_like({}),
        },
    )
    (logging,) = chosen.find_resources("AWS::WAFv2::LoggingConfiguration").values()
    kept = logging["Properties"]["LoggingFilter"]
    assert kept["DefaultBehavior"] == "DROP"
    (only,) = kept["Filters"]
    assert [each["ActionCondition"]["Action"] for each in only["Conditions"]] == [
        "BLOCK",
        "COUNT",
        "EXCLUDED_AS_COUNT",
    ]


def test_no_token_cookie_or_prompt_gets_into_logs_or_samples(minimal: Template) -> None:
    minimal.has_resource_properties(
        WEB_ACL,
        {
            "DataProtectionConfig": {
                "DataProtections": [
                    {
                        "Action": "SUBSTITUTION",
                        "Field": {
                            "FieldType": "SINGLE_HEADER",
                            "FieldKeys": ["authorization", "cookie", "x-api-key"],
                        },
                    },
                    {"Action": "SUBSTITUTION", "Field": {"FieldType": "BODY"}},
                ]
            }
        },
    )


def test_it_stands_in_front_of_as_many_resources_as_are_attached(chosen: Template) -> None:
    found = chosen.find_resources(ASSOCIATION).values()
    assert {each["Properties"]["ResourceArn"] for each in found} == {STAGE, POOL}


def test_an_existing_web_acl_is_attached_and_nothing_else_is_made(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    arn = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/central/1"
    WebAcl(stack, "ByArn", prefix="handbook-prod", existing_web_acl=arn).attach(STAGE)
    own = wafv2.CfnWebACL(
        stack,
        "Own",
        scope="REGIONAL",
        default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
        visibility_config=wafv2.CfnWebACL.VisibilityConfigProperty(
            cloud_watch_metrics_enabled=True, metric_name="own", sampled_requests_enabled=False
        ),
    )
    WebAcl(stack, "ByReference", prefix="handbook-prod", existing_web_acl=own).attach(POOL)
    template = synthesized(stack)
    template.resource_count_is(WEB_ACL, 1)
    template.resource_count_is("AWS::Logs::LogGroup", 0)
    template.has_resource_properties(ASSOCIATION, {"ResourceArn": STAGE, "WebACLArn": arn})
    template.has_resource_properties(
        ASSOCIATION, {"ResourceArn": POOL, "WebACLArn": {"Fn::GetAtt": ["Own", "Arn"]}}
    )


def test_mistakes_are_reported_together(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        WebAcl(
            new_stack(),
            "WebAcl",
            prefix="handbook/prod",
            rate_limit=9,
            managed_rule_groups=("AWSManagedRulesLinuxRuleSet",) * 2,
            counted_rules={"AWSManagedRulesUnixRuleSet": ("UNIXShellCommandsVariables_BODY",)},
        )
    assert len(caught.value.mistakes) == 4
    assert "rate_limit is 9; WAF allows 10 to 2000000000." in str(caught.value)
