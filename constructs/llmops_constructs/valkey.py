"""What the tasks of a service share between requests: limits, leases, answers.

ElastiCache Serverless always encrypts connections ("ElastiCache in-transit encryption"), so the
address begins with `valkeys://`. Access is by user: a serverless cache knows no other way than
role-based access control ("Role-Based Access Control"), and without a user group whoever reaches it
is in.

It speaks the protocol of a cluster: the keys of one script or transaction must share a hash tag,
e.g. `{handbook}:tasks`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge_unscheduled
from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.names import resource_name

USER = "service"
ACCESS = "on ~* &* +@all -@admin -@dangerous"
"""Every key, and every command that neither administers the server nor endangers it."""
PASSWORD_LENGTH = 64
"""ElastiCache allows 16 to 128."""


class ValkeyCache(Construct):
    """ElastiCache Serverless for Valkey: TLS, one user with a password, nobody may connect yet.

    It costs by the data it holds and by what it does; both are limited, so that a mistake is
    throttled and not billed.

    :param prefix: what the cache's name begins with: `PREFIX-cache`, at most 40 characters.
    :param vpc_subnets: two or three, in different zones.
    :param engine_version: Valkey's major version.
    :param max_gib: 1 to 5000 GiB of data; what is least recently used goes first.
    :param max_ecpu: 1000 to 15000000 units of work a second; more is throttled.
    :param snapshot_days: 0 to 35 days a daily snapshot is kept; 0 makes none. Default: none, the
        cache holds nothing that cannot be made again.
    :param encryption_key: of data, snapshots and the two secrets. Default: AWS's own keys.
    :param existing_url_secret: the whole address of a cache that is there already; nothing is
        created. It needs `existing_security_group`.
    :param existing_security_group: the one that lets clients in.
    :param removal_policy: of the two secrets; default: they stay when the stack goes.

    Example::

        network = llm.Network(stack, "Network")
        cache = llm.ValkeyCache(
            stack,
            "Cache",
            prefix="handbook-prod",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
        )
        cdk.CfnOutput(stack, "CacheUrl", value=cache.url_secret.secret_arn)
    """

    cache: elasticache.CfnServerlessCache | None = None
    security_group: ec2.ISecurityGroup
    url_secret: secretsmanager.ISecret

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        engine_version: str = "8",
        max_gib: int = 1,
        max_ecpu: int = 5000,
        snapshot_days: int = 0,
        encryption_key: kms.IKey | None = None,
        existing_url_secret: secretsmanager.ISecret | None = None,
        existing_security_group: ec2.ISecurityGroup | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        self.name = resource_name(prefix, "cache")
        self._key, self._removal = encryption_key, removal_policy
        existing = (existing_url_secret, existing_security_group)
        new = existing == (None, None)
        check(
            self,
            [
                *_limit_rules(self.name, max_gib, max_ecpu, snapshot_days),
                (
                    not new and None in existing,
                    "existing_url_secret and existing_security_group belong together.",
                ),
                (new and None in (vpc, vpc_subnets), "A new cache needs vpc and vpc_subnets."),
            ],
        )
        if existing_url_secret and existing_security_group:
            self.url_secret, self.security_group = existing_url_secret, existing_security_group
            return
        assert vpc
        assert vpc_subnets
        self.security_group = self._security_group(vpc)
        password = self._password()
        self.cache = cache = self._make(
            major_engine_version=engine_version,
            subnet_ids=vpc.select_subnets(**vpc_subnets._values).subnet_ids,
            snapshot_retention_limit=snapshot_days,
            cache_usage_limits=_limits(max_gib, max_ecpu),
            user_group_id=self._users(password).ref,
        )
        self.url_secret = self._address(cache, password)

    def _make(self, **asked: Any) -> elasticache.CfnServerlessCache:
        cache = elasticache.CfnServerlessCache(
            self,
            "Cache",
            **asked,
            engine="valkey",
            serverless_cache_name=self.name,
            description="What the tasks of a service share",
            security_group_ids=[self.security_group.security_group_id],
            kms_key_id=self._key.key_arn if self._key else None,
        )
        cache.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        return cache

    def _security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self,
            "Group",
            vpc=vpc,
            description="The cache: in comes whom a stack lets in, out goes nothing",
            allow_all_outbound=False,
        )

    def _password(self) -> secretsmanager.Secret:
        """Letters and digits only: they need no quoting in an address."""
        return self._secret(
            "Password",
            "The password of the cache's user",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({"username": USER}),
                generate_string_key="password",
                exclude_punctuation=True,
                password_length=PASSWORD_LENGTH,
            ),
        )

    def _users(self, password: secretsmanager.Secret) -> elasticache.CfnUserGroup:
        user = elasticache.CfnUser(
            self,
            "User",
            engine="valkey",
            user_id=self.name,
            user_name=USER,
            access_string=ACCESS,
            authentication_mode={
                "Type": "password",
                "Passwords": [_reference(password, "password")],
            },
        )
        return elasticache.CfnUserGroup(
            self,
            "Users",
            engine="valkey",
            user_group_id=self.name,
            user_ids=[user.ref],
        )

    def _address(
        self, cache: elasticache.CfnServerlessCache, password: secretsmanager.Secret
    ) -> secretsmanager.Secret:
        """The whole address, which CloudFormation puts together; the template has references."""
        secret = self._secret("Url", "The address of the cache, its user and password in it")
        resource = secret.node.default_child
        assert isinstance(resource, secretsmanager.CfnSecret)
        resource.generate_secret_string = None
        resource.secret_string = (
            f"valkeys://{USER}:{_reference(password, 'password')}"
            f"@{cache.attr_endpoint_address}:{cache.attr_endpoint_port}/0"
        )
        return secret

    def _secret(self, id: str, description: str, **asked: Any) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            id,
            description=description,
            encryption_key=self._key,
            removal_policy=self._removal,
            **asked,
        )
        acknowledge_unscheduled(
            secret,
            "The cache's user is renewed with its stack: CloudFormation sets user, address and "
            "password together, and the cache is out of reach but for one security group.",
        )
        return secret


def _limit_rules(name: str, max_gib: int, max_ecpu: int, snapshot_days: int) -> list[Rule]:
    return [
        (
            re.fullmatch(r"(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", name) is None,
            f"'{name}' must be at most 40 lower case letters, digits and hyphens.",
        ),
        (outside(max_gib, 1, 5000), f"max_gib is {max_gib}; AWS allows 1 to 5000."),
        (
            outside(max_ecpu, 1000, 15_000_000),
            f"max_ecpu is {max_ecpu}; AWS allows 1000 to 15000000.",
        ),
        (outside(snapshot_days, 0, 35), f"snapshot_days is {snapshot_days}; AWS allows 0 to 35."),
    ]


def _reference(secret: secretsmanager.Secret, field: str) -> str:
    """What CloudFormation replaces by the secret's value when it makes a resource."""
    return secret.secret_value_from_json(field).unsafe_unwrap()


def _limits(max_gib: int, max_ecpu: int) -> elasticache.CfnServerlessCache.CacheUsageLimitsProperty:
    kind = elasticache.CfnServerlessCache
    return kind.CacheUsageLimitsProperty(
        data_storage=kind.DataStorageProperty(maximum=max_gib, unit="GB"),
        ecpu_per_second=kind.ECPUPerSecondProperty(maximum=max_ecpu),
    )
