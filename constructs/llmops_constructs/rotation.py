"""Secrets that get a new value by themselves, the old one staying valid for a while.

Secrets Manager calls a function four times per rotation, and again from the first step when one
fails; only the last step changes what clients read. The function's resource policy names the
account besides the service, which is what the user guide of Secrets Manager asks for ("Lambda
rotation function permissions"); the secret it may change is the one its role names.
"""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs._findings import acknowledge_unscheduled
from llmops_constructs._validation import Rule, check, outside
from llmops_constructs.credentials import allow_secret
from llmops_constructs.database import PORT, PostgresDatabase
from llmops_constructs.functions import KitFunction, placement
from llmops_constructs.roles import policy_of

DAYS = 30
MOST_DAYS = 1000
"""RotationRules.AutomaticallyAfterDays of Secrets Manager's API."""
TIMEOUT = cdk.Duration.seconds(60)
PASSWORD_LENGTH = 48
ELSEWHERE = (
    "Another stack has its schedule, which cdk-nag looks for in the secret's own stack only: code "
    "that changes stays out of the stack that keeps the secret."
)

ROTATES = (
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
"""What a rotation function does with its secret: "Permissions for the execution role of a Lambda
rotation function". Passwords are made in the function, so it needs none for all secrets."""


class TokenRotation(Construct):
    """Gives bearer tokens a new value on a schedule; the one before stays valid until the next.

    The service must read the secret itself (BEARER_TOKENS_SECRET): one that ECS injected when the
    task started would not know the new token.

    :param prefix: what the names of the function and of its log group begin with.
    :param tokens: `{"current": ..., "previous": ...}` or `{"tokens": [...]}` with hashes alone.
    :param code, handler: the function that takes the four steps; boto3 is in the runtime.
    :param clients: for the second form: the secret in which the client of each name finds its
        token, as plain text. Default: nobody's; a secret of hashes alone then fails to rotate.
    :param days: 1 to 1000 from one rotation to the next.
    :param rotate_at_once: also whenever this schedule is made or changed. Default: no; Secrets
        Manager then tries the function once without changing the secret.
    :param vpc, vpc_subnets: default: outside any VPC; it calls Secrets Manager alone.
    :param encryption_key: of the log; default: CloudWatch Logs' own key.
    :param removal_policy: of the log; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        rotation = llm.TokenRotation(
            stack,
            "Rotation",
            prefix="handbook-prod",
            tokens=llm.ServiceSecrets(stack, "Secrets", rotated=True).tokens,
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
        )
        cdk.CfnOutput(stack, "Function", value=rotation.function.function_name)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        tokens: secretsmanager.ISecret,
        code: lambda_.Code,
        handler: str,
        clients: Mapping[str, secretsmanager.ISecret] | None = None,
        days: int = DAYS,
        rotate_at_once: bool = False,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(self, [*placement(vpc, vpc_subnets), _days(days)])
        given = clients or {}
        arns = {name: secret.secret_arn for name, secret in given.items()}
        kit = KitFunction(
            self,
            "Rotate",
            name="rotate-tokens",
            prefix=prefix,
            code=code,
            handler=handler,
            description="Makes the service's next bearer token, for Secrets Manager",
            environment=(
                {"CLIENT_SECRETS": cdk.Stack.of(self).to_json_string(arns)} if arns else None
            ),
            timeout=TIMEOUT,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            encryption_key=encryption_key,
            log_retention=log_retention,
            removal_policy=removal_policy,
        )
        self.function, self.role, self.log_group = kit.function, kit.role, kit.log_group
        for secret in (tokens, *given.values()):
            _allow_rotating(kit, secret)
        self.schedule = _schedule(self, tokens, kit, days=days, at_once=rotate_at_once)
        if cdk.Stack.of(tokens) is not cdk.Stack.of(self):
            acknowledge_unscheduled(tokens, ELSEWHERE)

    @property
    def failures(self) -> cloudwatch.Metric:
        """Steps that failed: anything above zero says that the tokens were not changed."""
        return _failures(self.function)


class DatabaseUserRotation(Construct):
    """A user of the service's own in a database, with a new password on a schedule.

    Two users take turns, `<user>_a` and `<user>_b`: whoever is current keeps its password until
    the rotation after, so a client that has just read the secret gets in. Both act as the role
    `<user>`, which owns the tables. The first rotation makes all three: the service can connect
    from then on, seconds after the schedule is made. The master's secret is only read.

    Connections to the database are encrypted, and its certificate is verified.

    :param prefix: what the names of the function and of its log group begin with.
    :param database: whose master user makes the users.
    :param user: what the names of the users begin with: letters, digits, _; at most 61.
    :param code, handler: the function that takes the four steps, with the PostgreSQL client it
        needs; boto3 is in the runtime.
    :param vpc, vpc_subnets: where the database is reached from; the subnets need a way to Secrets
        Manager too.
    :param ipv6: in a dual-stack VPC it reaches AWS by IPv6; default: by IPv4 alone.
    :param days: 1 to 1000 from one rotation to the next.
    :param authorities: path of a PEM file in `code` with the authorities of the database's
        certificate. Default: the runtime's own, among which are those of RDS.
    :param iam_user: the function keeps a user of that name for IAM's tokens too. Default: none.
    :param adopt_tables: gives the role the tables that the master user owns in schema `public`;
        for a service that ran as the master before. Default: they are left alone.
    :param existing_secret: used instead of a new one; `username` in it must end in `_a` or `_b`.
    :param encryption_key: of the secret and the log. Default: AWS's own keys.
    :param removal_policy: of the secret and the log; default: kept when the stack goes.

    Example::

        from aws_cdk import aws_lambda as lambda_

        net = llm.Network(stack, "Network")
        database = llm.Database(
            stack, "Db", vpc=net.vpc, vpc_subnets=net.database_subnets, database_name="handbook"
        )
        code = lambda_.Code.from_inline("def handler(event, context): ...")
        rotation = llm.DatabaseUserRotation(
            stack, "User", prefix="handbook-prod", database=database, user="handbook", code=code,
            handler="index.handler", vpc=net.vpc, vpc_subnets=net.service_subnets,
        )
        cdk.CfnOutput(stack, "Secret", value=rotation.secret.secret_arn)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        prefix: str,
        database: PostgresDatabase,
        user: str,
        code: lambda_.Code,
        handler: str,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        ipv6: bool = False,
        days: int = DAYS,
        authorities: str | None = None,
        iam_user: str | None = None,
        adopt_tables: bool = False,
        existing_secret: secretsmanager.ISecret | None = None,
        encryption_key: kms.IKey | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, id)
        check(self, [*placement(vpc, vpc_subnets), _days(days), *_users(user, iam_user)])
        self.secret = existing_secret or self._secret(user, encryption_key, removal_policy)
        asked = {
            "DATABASE_CA_BUNDLE": authorities,
            "DATABASE_IAM_USER": iam_user,
            "ADOPT_TABLES": "true" if adopt_tables else None,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        kit = KitFunction(
            self,
            "Rotate",
            name="rotate-database",
            prefix=prefix,
            code=code,
            handler=handler,
            description="Gives the next user of the database its password, for Secrets Manager",
            environment={**_master(database), **given},
            timeout=TIMEOUT,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            ipv6=ipv6,
            group_description="The rotation of the user: AWS and the database, out",
            encryption_key=encryption_key,
            log_retention=log_retention,
            removal_policy=removal_policy,
        )
        self.function, self.role, self.log_group = kit.function, kit.role, kit.log_group
        self.security_group = kit.security_group
        _allow_rotating(kit, self.secret)
        allow_secret(kit.role, database.secret)
        way = self._let_in(kit, database)
        self.schedule = _schedule(self, self.secret, kit, days=days, at_once=True)
        self.schedule.node.add_dependency(way)

    @property
    def failures(self) -> cloudwatch.Metric:
        """Steps that failed: anything above zero says that the user was not changed."""
        return _failures(self.function)

    def _secret(
        self, user: str, key: kms.IKey | None, removal: cdk.RemovalPolicy
    ) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            "Secret",
            description=f"The user of the database whose turn it is, {user}_a or {user}_b",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=f'{{"username": "{user}_a"}}',
                generate_string_key="password",
                exclude_punctuation=True,
                password_length=PASSWORD_LENGTH,
            ),
            removal_policy=removal,
        )

    def _let_in(self, kit: KitFunction, database: PostgresDatabase) -> ec2.CfnSecurityGroupIngress:
        """Opens the way from the function to the database, on both sides."""
        group = kit.security_group
        assert group is not None
        target = database.security_group.security_group_id
        group.add_egress_rule(
            ec2.Peer.security_group_id(target), ec2.Port.tcp(PORT), "the database"
        )
        return ec2.CfnSecurityGroupIngress(
            self,
            "ToDatabase",
            group_id=target,
            source_security_group_id=group.security_group_id,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            description="The rotation of the user",
        )


def _master(database: PostgresDatabase) -> dict[str, str]:
    """How the function finds the database, and who it is there."""
    return {
        "MASTER_SECRET_ARN": database.secret.secret_arn,
        "DATABASE_HOST": database.host,
        "DATABASE_PORT": database.port,
        "DATABASE_NAME": database.database_name,
    }


def _days(days: int) -> Rule:
    return outside(days, 1, MOST_DAYS), f"days is {days}; Secrets Manager allows 1 to {MOST_DAYS}."


def _users(user: str, iam_user: str | None) -> list[Rule]:
    return [
        (not _is_name(user), f"user '{user}' must be a letter, then letters, digits or _."),
        (
            iam_user is not None and iam_user in (user, f"{user}_a", f"{user}_b"),
            f"iam_user '{iam_user}' is one of the names that the rotation uses itself.",
        ),
    ]


def _is_name(user: str) -> bool:
    return user.isascii() and user.isidentifier() and user[0].isalpha() and len(user) <= 61


def _failures(function: lambda_.Function) -> cloudwatch.Metric:
    return function.metric_errors(statistic="Sum", period=cdk.Duration.minutes(5))


def _allow_rotating(kit: KitFunction, secret: secretsmanager.ISecret) -> None:
    """Lets the function read and change one secret, and use its key for nothing else."""
    kit.allow(ROTATES, secret.secret_arn)
    if secret.encryption_key is None:
        return
    service = f"secretsmanager.{cdk.Stack.of(kit).region}.amazonaws.com"
    kit.role.add_to_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[secret.encryption_key.key_arn],
            conditions={
                "StringEquals": {
                    "kms:ViaService": service,
                    "kms:EncryptionContext:SecretARN": secret.secret_arn,
                }
            },
        )
    )


def _schedule(
    scope: Construct,
    secret: secretsmanager.ISecret,
    kit: KitFunction,
    *,
    days: int,
    at_once: bool,
) -> secretsmanager.CfnRotationSchedule:
    permission = lambda_.CfnPermission(
        scope,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=kit.function.function_arn,
        principal="secretsmanager.amazonaws.com",
        source_account=cdk.Stack.of(scope).account,
    )
    schedule = secretsmanager.CfnRotationSchedule(
        scope,
        "Schedule",
        secret_id=secret.secret_arn,
        rotation_lambda_arn=kit.function.function_arn,
        rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(
            automatically_after_days=days
        ),
        rotate_immediately_on_update=at_once,
    )
    schedule.node.add_dependency(permission, policy_of(kit.role))
    return schedule
