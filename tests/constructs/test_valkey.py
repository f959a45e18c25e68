"""The cache."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from existing_network import existing_network
from policies import findings
from resources_made import resources_made

from llmops_constructs import ExplicitStack, InvalidConstruct
from llmops_constructs.keys import EncryptionKey
from llmops_constructs.valkey import ValkeyCache

Stacks = Callable[..., ExplicitStack]
Synthesized = Callable[[ExplicitStack], Template]
CACHE = "AWS::ElastiCache::ServerlessCache"


def production_like(stack: ExplicitStack) -> ExplicitStack:
    key = EncryptionKey(stack, "Key", alias="handbook-prod").key
    ValkeyCache(
        stack,
        "Cache",
        prefix="handbook-prod",
        max_gib=5,
        max_ecpu=20_000,
        snapshot_days=7,
        encryption_key=key,
        **existing_network(stack),
    )
    return stack


@pytest.fixture(scope="module")
def template(new_stack: Stacks, synthesized: Synthesized) -> Template:
    return synthesized(production_like(new_stack()))


def test_the_smallest_form_is_as_reviewed(
    new_stack: Stacks, synthesized: Synthesized, snapshot: Callable[[Template, str], None]
) -> None:
    stack = new_stack()
    ValkeyCache(stack, "Cache", prefix="handbook", **existing_network(stack))
    snapshot(synthesized(stack), "valkey")


def test_what_it_holds_and_does_is_limited(template: Template) -> None:
    template.has_resource_properties(
        CACHE,
        {
            "Engine": "valkey",
            "MajorEngineVersion": "8",
            "SubnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            "SnapshotRetentionLimit": 7,
            "CacheUsageLimits": {
                "DataStorage": {"Maximum": 5, "Unit": "GB"},
                "ECPUPerSecond": {"Maximum": 20_000},
            },
        },
    )


def test_only_a_user_with_a_password_gets_in(template: Template) -> None:
    template.has_resource_properties(
        CACHE, {"UserGroupId": {"Ref": Match.string_like_regexp("^CacheUsers")}}
    )
    template.has_resource_properties(
        "AWS::ElastiCache::User",
        {
            "Engine": "valkey",
            "AccessString": "on ~* &* +@all -@admin -@dangerous",
            "AuthenticationMode": Match.object_like({"Type": "password"}),
        },
    )


def test_nobody_reaches_it_until_somebody_is_let_in(template: Template) -> None:
    (group,) = template.find_resources("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group["Properties"]


def test_the_address_has_tls_and_takes_the_password_by_reference(template: Template) -> None:
    addresses = [
        secret["Properties"]["SecretString"]["Fn::Join"][1]
        for secret in template.find_resources("AWS::SecretsManager::Secret").values()
        if "SecretString" in secret["Properties"]
    ]
    ((start, password, *rest),) = addresses
    assert start == "valkeys://service:{{resolve:secretsmanager:"
    assert password["Ref"].startswith("CachePassword")
    assert rest[0] == ":SecretString:password::}}@"
    assert rest[-1] == "/0"


def test_the_password_is_made_by_secrets_manager_and_fits_into_an_address(
    template: Template,
) -> None:
    template.has_resource_properties(
        "AWS::SecretsManager::Secret",
        {
            "GenerateSecretString": {
                "SecretStringTemplate": json.dumps({"username": "service"}),
                "GenerateStringKey": "password",
                "ExcludePunctuation": True,
                "PasswordLength": 64,
            }
        },
    )


def test_one_key_encrypts_the_data_and_both_secrets(template: Template) -> None:
    key = {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]}
    template.has_resource_properties(CACHE, {"KmsKeyId": key})
    template.resource_properties_count_is("AWS::SecretsManager::Secret", {"KmsKeyId": key}, 2)


def test_an_existing_cache_is_an_address_and_a_group(new_stack: Stacks) -> None:
    stack = new_stack()
    address = secretsmanager.Secret.from_secret_name_v2(stack, "Address", "valkey")
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    cache = ValkeyCache(
        stack,
        "Cache",
        prefix="handbook",
        existing_url_secret=address,
        existing_security_group=group,
    )
    assert (cache.url_secret, cache.security_group, cache.cache) == (address, group, None)
    assert resources_made(stack) == []


@pytest.mark.parametrize(
    ("arguments", "mistakes"),
    [
        ({"prefix": "Handbook", "max_gib": 0, "max_ecpu": 10, "snapshot_days": 36}, 5),
        ({"prefix": "h" * 40}, 2),
        ({"prefix": "handbook"}, 1),
    ],
)
def test_every_mistake_is_reported(
    new_stack: Stacks, arguments: dict[str, Any], mistakes: int
) -> None:
    with pytest.raises(InvalidConstruct) as caught:
        ValkeyCache(new_stack(), "Cache", **arguments)
    assert len(caught.value.mistakes) == mistakes


def test_half_an_existing_cache_is_refused(new_stack: Stacks) -> None:
    stack = new_stack()
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    with pytest.raises(InvalidConstruct, match="belong together"):
        ValkeyCache(stack, "Cache", prefix="handbook", existing_security_group=group)


def test_the_policy_packs_find_nothing(new_stack: Stacks) -> None:
    assert findings(production_like(new_stack())) == []
