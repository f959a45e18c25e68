"""A firewall for requests, made for bodies that are prompts.

A prompt is free text: it may quote a path with `../`, a script tag or an address of a metadata
service, and it may be long. AWS's common rules look for just that in the first 8 KB of a body,
the limit for load balancers, and refuse bigger bodies. A gateway for models among AWS's own samples
came to count all five (aws-samples/sample-kolya-br-proxy, pull requests 38, 39 and 109), so here
they only count; the same patterns in the path, the query and the headers are blocked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from aws_cdk.interfaces.aws_wafv2 import IWebACLRef
from constructs import Construct

from llmops_constructs._logs import log_group
from llmops_constructs._validation import Rule, check, outside

COMMON = "AWSManagedRulesCommonRuleSet"
MANAGED_RULE_GROUPS = (
    "AWSManagedRulesAmazonIpReputationList",
    COMMON,
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesLinuxRuleSet",
)
"""25 + 700 + 200 + 200 of the 1500 capacity units that a web ACL has at the basic price."""

BODY_RULES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        COMMON: (
            "SizeRestrictions_BODY",
            "CrossSiteScripting_BODY",
            "GenericLFI_BODY",
            "GenericRFI_BODY",
            "EC2MetaDataSSRF_BODY",
        )
    }
)
"""The rules of the common group that read a body, as AWS spells them: it ignores other names."""

SECRET_HEADERS = ("authorization", "cookie", "x-api-key")
KEPT = ("BLOCK", "COUNT", "EXCLUDED_AS_COUNT")
RATE_RULE = "RateLimit"
WINDOW_SECONDS = 300


class WebAcl(Construct):
    """A regional web ACL: AWS's managed rules, a limit per client address, a log of what matched.

    It protects load balancers, stages of REST APIs and Cognito user pools; AWS WAF knows no
    association with an HTTP API of API Gateway. Bearer tokens, cookies and bodies are kept out of
    its log and its samples.

    :param prefix: what its name and its log group's (`aws-waf-logs-<prefix>`) begin with.
    :param rate_limit: requests from one address in five minutes, 10 to 2,000,000,000 (AWS's own
        bounds); more are refused until it falls. Default: 2000. Clients behind one NAT gateway or
        proxy share an address.
    :param managed_rule_groups: names of AWS's groups, in the order they are asked. Default: bad
        addresses, the common rules, known bad inputs, Linux.
    :param counted_rules: rules by group that count instead of blocking; default: those that read
        a body for what a prompt may well contain.
    :param existing_web_acl: used instead, or its ARN, since the CDK cannot import one; nothing is
        created, and its owner answers for its rules and its log.
    :param encryption_key: of the log group; default: one of CloudWatch Logs' own.
    :param log_retention: how long refused and counted requests are kept; others are not logged.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        network = llm.Network(stack, "Network")
        llm.LlmRouting(
            stack,
            "Routing",
            vpc=network.vpc,
            vpc_subnets=network.service_subnets,
            container_port=9000,
            web_acl=llm.WebAcl(stack, "WebAcl", prefix="handbook-prod"),
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        rate_limit: int = 2000,
        managed_rule_groups: Sequence[str] = MANAGED_RULE_GROUPS,
        counted_rules: Mapping[str, Sequence[str]] = BODY_RULES,
        existing_web_acl: IWebACLRef | str | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(self, _rules(prefix, rate_limit, managed_rule_groups, counted_rules))
        self.name = prefix
        self._attached = 0
        self.log_group: logs.LogGroup | None = None
        if existing_web_acl is not None:
            self.arn = _arn(existing_web_acl)
            return
        groups = {name: counted_rules.get(name, ()) for name in managed_rule_groups}
        self.arn = self._make(groups, rate_limit).attr_arn
        self.log_group = log_group(
            self,
            "Logs",
            name=f"aws-waf-logs-{prefix}",
            retention=log_retention,
            encryption_key=encryption_key,
            removal_policy=removal_policy,
        )
        self._log(self.log_group)

    def attach(
        self, resource_arn: str, *, scope: Construct | None = None
    ) -> wafv2.CfnWebACLAssociation:
        """Puts it in front of a load balancer, a REST API's stage or a user pool.

        :param scope: a construct of the resource's stack, so that this ACL can be in another one;
            default: this construct.
        """
        self._attached += 1
        number = self._attached if scope is None and self._attached > 1 else ""
        return wafv2.CfnWebACLAssociation(
            scope or self,
            f"WebAclAssociation{number}",
            resource_arn=resource_arn,
            web_acl_arn=self.arn,
        )

    def _make(self, groups: Mapping[str, Sequence[str]], rate_limit: int) -> wafv2.CfnWebACL:
        return wafv2.CfnWebACL(
            self,
            "WebAcl",
            name=self.name,
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility(self.name),
            data_protection_config=wafv2.CfnWebACL.DataProtectionConfigProperty(
                data_protections=[_protected("SINGLE_HEADER", SECRET_HEADERS), _protected("BODY")]
            ),
            rules=[
                _limit(rate_limit),
                *(
                    _managed(priority, name, counted)
                    for priority, (name, counted) in enumerate(groups.items(), start=1)
                ),
            ],
        )

    def _log(self, group: logs.LogGroup) -> None:
        wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.arn,
            log_destination_configs=[_without_streams(group)],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [{"ActionCondition": {"Action": each}} for each in KEPT],
                    }
                ],
            },
        )


def _rules(
    prefix: str, limit: int, groups: Sequence[str], counted: Mapping[str, Sequence[str]]
) -> list[Rule]:
    unknown = [name for name in counted if name not in groups and counted is not BODY_RULES]
    return [
        (
            re.fullmatch(r"[\w-]{1,128}", prefix) is None,
            f"prefix '{prefix}' must be 1 to 128 letters, digits, _ or -.",
        ),
        (outside(limit, 10, 2_000_000_000), f"rate_limit is {limit}; WAF allows 10 to 2000000000."),
        (len(set(groups)) < len(groups), "A managed rule group is named twice."),
        (bool(unknown), f"counted_rules names groups that are not used: {', '.join(unknown)}."),
    ]


def _arn(web_acl: IWebACLRef | str) -> str:
    return web_acl if isinstance(web_acl, str) else web_acl.web_acl_ref.web_acl_arn


def _without_streams(group: logs.LogGroup) -> str:
    """The ARN as WAF wants it: without the `:*` that stands for the group's streams."""
    return cdk.Stack.of(group).format_arn(
        service="logs",
        resource="log-group",
        resource_name=group.log_group_name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )


def _visibility(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )


def _protected(kind: str, keys: Sequence[str] = ()) -> wafv2.CfnWebACL.DataProtectProperty:
    return wafv2.CfnWebACL.DataProtectProperty(
        action="SUBSTITUTION",
        field=wafv2.CfnWebACL.FieldToProtectProperty(
            field_type=kind, field_keys=list(keys) or None
        ),
    )


def _limit(requests: int) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name=RATE_RULE,
        priority=0,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=requests, evaluation_window_sec=WINDOW_SECONDS
            )
        ),
        visibility_config=_visibility(RATE_RULE),
    )


def _managed(priority: int, name: str, counted: Sequence[str]) -> wafv2.CfnWebACL.RuleProperty:
    overrides = [
        wafv2.CfnWebACL.RuleActionOverrideProperty(
            name=rule, action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={})
        )
        for rule in counted
    ]
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=name, rule_action_overrides=overrides or None
            )
        ),
        visibility_config=_visibility(name),
    )
