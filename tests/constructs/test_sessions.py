"""The table of sessions."""

from collections.abc import Callable

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.sessions import SessionStore

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
TABLE = "AWS::DynamoDB::Table"


def task(stack: ExplicitStack) -> iam.Role:
    return iam.Role(stack, "Task", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    stack = new_stack()
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    sessions = SessionStore(stack, "Sessions", sort_key="at", encryption_key=key)
    sessions.grant(task(stack))
    return synthesized(stack)


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    SessionStore(stack, "Sessions")
    snapshot(synthesized(stack), "sessions")


def test_it_is_paid_by_request_restorable_protected_and_kept(template: Template) -> None:
    template.has_resource(
        TABLE,
        {
            "DeletionPolicy": "Retain",
            "Properties": Match.object_like(
                {
                    "BillingMode": "PAY_PER_REQUEST",
                    "DeletionProtectionEnabled": True,
                    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                }
            ),
        },
    )


def test_sessions_end_by_themselves(template: Template) -> None:
    template.has_resource_properties(
        TABLE, {"TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True}}
    )


def test_both_keys_are_strings_of_the_names_given(template: Template) -> None:
    template.has_resource_properties(
        TABLE,
        {
            "KeySchema": [
                {"AttributeName": "session_id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ]
        },
    )


def test_the_key_given_encrypts_it(template: Template) -> None:
    template.has_resource_properties(TABLE, {"SSESpecification": {"SSEType": "KMS"}})


def test_a_role_reads_and_writes_sessions_and_the_key_through_dynamodb(template: Template) -> None:
    (policy,) = template.find_resources("AWS::IAM::Policy").values()
    table, key = policy["Properties"]["PolicyDocument"]["Statement"]
    assert table["Action"] == [
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ]
    assert table["Resource"]["Fn::GetAtt"][1] == "Arn"
    assert key["Condition"] == {
        "StringEquals": {"kms:ViaService": "dynamodb.us-east-1.amazonaws.com"}
    }
    assert [action for action in key["Action"] if "*" in action] == []


def test_an_existing_table_is_granted_and_nothing_is_made(
    new_stack: Stacks, synthesized: Synthesized
) -> None:
    stack = new_stack()
    table = dynamodb.Table.from_table_name(stack, "Existing", "sessions")
    SessionStore(stack, "Sessions", existing_table=table).grant(task(stack))
    template = synthesized(stack)
    template.resource_count_is(TABLE, 0)
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": [
                        Match.object_like(
                            {"Resource": "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"}
                        )
                    ]
                }
            )
        },
    )


def test_every_mistake_is_reported(new_stack: Stacks) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        SessionStore(
            new_stack(),
            "Sessions",
            partition_key="id",
            sort_key="id",
            ttl_attribute="id",
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
    assert len(caught.value.mistakes) == 3
