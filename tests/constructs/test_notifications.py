import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template
from policies import findings

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.alarms import Severity
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.notifications import SEEING_ALARMS, AlarmTopics, SlackChannel

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
Snapshot = Callable[[Template, str], None]

PREFIX = "handbook-test"
PAGERDUTY = "arn:aws:secretsmanager:us-east-1:123456789012:secret:pagerduty-abcdef"


@pytest.fixture(scope="module")
def plain(new_stack: Stacks) -> ExplicitStack:
    stack = new_stack("plain")
    AlarmTopics(stack, "Topics", prefix=PREFIX)
    return stack


@pytest.fixture(scope="module")
def everybody(new_stack: Stacks) -> tuple[ExplicitStack, list[str]]:
    """Everybody is told, by encrypted topics, and what the packs find in it."""
    stack = new_stack()
    AlarmTopics(
        stack,
        "Topics",
        prefix=PREFIX,
        emails=["one@example.com", "two@example.com"],
        slack=SlackChannel(workspace_id="T0123", channel_id="C0123"),
        pagerduty_secret=secretsmanager.Secret.from_secret_complete_arn(
            stack, "PagerDuty", PAGERDUTY
        ),
        encryption_key=EncryptionKey(stack, "Key", alias=PREFIX).key,
    )
    return stack, findings(stack)


@pytest.fixture(scope="module")
def template(everybody: tuple[ExplicitStack, list[str]], synthesized: Synthesized) -> Template:
    return synthesized(everybody[0])


def _subscriptions(template: Template) -> list[dict[str, Any]]:
    return [
        each["Properties"] for each in template.find_resources("AWS::SNS::Subscription").values()
    ]


def _statements(template: Template) -> list[dict[str, Any]]:
    policies = template.find_resources("AWS::SNS::TopicPolicy").values()
    return [
        statement
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def test_there_is_a_topic_for_each_severity(template: Template) -> None:
    topics = template.find_resources("AWS::SNS::Topic").values()
    names = {topic["Properties"]["TopicName"] for topic in topics}
    assert names == {f"{PREFIX}-critical", f"{PREFIX}-warning"}
    assert all("KmsMasterKeyId" in topic["Properties"] for topic in topics)


def test_alarms_and_budgets_of_this_account_may_publish_and_nobody_else(
    template: Template,
) -> None:
    allowed = [each for each in _statements(template) if each["Effect"] == "Allow"]
    services = [each["Principal"]["Service"] for each in allowed]
    assert sorted(services) == 2 * ["budgets.amazonaws.com"] + 2 * ["cloudwatch.amazonaws.com"]
    for statement in allowed:
        assert statement["Action"] == "sns:Publish"
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
        source = statement["Condition"]["ArnLike"]["aws:SourceArn"]
        assert f":alarm:{PREFIX}-*" in source or source == "arn:aws:budgets::123456789012:*"


def test_what_comes_without_tls_is_refused(template: Template) -> None:
    denied = [each for each in _statements(template) if each["Effect"] == "Deny"]
    assert len(denied) == 2
    assert {each["Condition"]["Bool"]["aws:SecureTransport"] for each in denied} == {"false"}


def test_each_address_gets_everything(template: Template) -> None:
    mail = [each for each in _subscriptions(template) if each["Protocol"] == "email"]
    assert sorted(each["Endpoint"] for each in mail) == sorted(
        2 * ["one@example.com", "two@example.com"]
    )
    assert len({json.dumps(each["TopicArn"]) for each in mail}) == 2


def test_pages_alone_reach_pagerduty_by_an_address_that_is_in_no_template(
    template: Template,
) -> None:
    (subscription,) = [each for each in _subscriptions(template) if each["Protocol"] == "https"]
    assert (
        subscription["Endpoint"] == f"{{{{resolve:secretsmanager:{PAGERDUTY}:SecretString:url::}}}}"
    )
    assert subscription["TopicArn"]["Ref"].startswith("TopicsCritical")


def test_the_channel_gets_both_and_may_only_look(template: Template) -> None:
    (channel,) = template.find_resources("AWS::Chatbot::SlackChannelConfiguration").values()
    properties = channel["Properties"]
    assert len(properties["SnsTopicArns"]) == 2
    assert (properties["SlackWorkspaceId"], properties["SlackChannelId"]) == ("T0123", "C0123")
    (guardrail,) = properties["GuardrailPolicies"]
    assert "CloudWatchReadOnlyAccess" in json.dumps(guardrail)
    (role,) = template.find_resources("AWS::IAM::Policy").values()
    (statement,) = role["Properties"]["PolicyDocument"]["Statement"]
    assert sorted(statement["Action"]) == sorted(SEEING_ALARMS)
    assert all(
        action.split(":")[1].startswith(("Describe", "Get", "List")) for action in SEEING_ALARMS
    )


def test_topics_are_as_they_are_if_they_are_brought(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack("brought")
    own = {
        severity: sns.Topic.from_topic_arn(
            stack, severity.value, f"arn:aws:sns:us-east-1:123456789012:{severity.value}"
        )
        for severity in Severity
    }
    topics = AlarmTopics(
        stack, "Topics", prefix=PREFIX, existing_topics=own, emails=["one@example.com"]
    )
    assert topics.topic(Severity.CRITICAL) is own[Severity.CRITICAL]
    template = synthesized(stack)
    template.resource_count_is("AWS::SNS::Topic", 0)
    template.resource_count_is("AWS::SNS::Subscription", 2)


def test_all_mistakes_are_told_at_once(plain: ExplicitStack) -> None:
    topic = sns.Topic.from_topic_arn(plain, "Own", "arn:aws:sns:us-east-1:123456789012:own")
    with pytest.raises(InvalidConstruct) as refused:
        AlarmTopics(
            plain,
            "Refused",
            prefix=PREFIX,
            emails=["nobody", "a@example.com", "a@example.com"],
            existing_topics={Severity.WARNING: topic},
            encryption_key=EncryptionKey(plain, "Key", alias="refused").key,
        )
    assert len(refused.value.mistakes) == 4


def test_the_packs_find_nothing_in_encrypted_topics(
    everybody: tuple[ExplicitStack, list[str]],
) -> None:
    assert everybody[1] == []


def test_the_smallest_form(new_stack: Stacks, synthesized: Synthesized, snapshot: Snapshot) -> None:
    stack = new_stack()
    AlarmTopics(stack, "Topics", prefix=PREFIX)
    snapshot(synthesized(stack), "notifications")
