"""The database of a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import _postgres
from llmops_constructs._validation import check, outside

PORT = 5432
ENGINE = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_18)
"""The major version: RDS keeps the minor one up to date."""
STORAGE_GIB = (20, 65536)
"""What a gp3 volume of RDS for PostgreSQL may have."""
EXPORTED = ("postgresql", "upgrade")
"""The logs of RDS for PostgreSQL that its operators read; iam-db-auth-error is the third."""


class PostgresDatabase(Protocol):
    """What a service, its alarms and its rotation need of a database, whoever runs it."""

    @property
    def database_name(self) -> str:
        """The database in it that is the service's."""

    @property
    def host(self) -> str:
        """The address clients connect to."""

    @property
    def port(self) -> str:
        """The port clients connect to."""

    @property
    def secret(self) -> secretsmanager.ISecret:
        """JSON keys `username` and `password` of the master user."""

    @property
    def security_group(self) -> ec2.ISecurityGroup:
        """The one that lets clients in."""

    @property
    def encryption_key(self) -> kms.IKey | None:
        """What its storage is encrypted with; None: AWS's own key."""

    @property
    def metric_dimensions(self) -> Mapping[str, str]:
        """How CloudWatch's metrics of AWS/RDS name it."""

    @property
    def resource_arn(self) -> str:
        """What AWS Backup selects."""

    def allow_iam(self, role: iam.IRole, user: str) -> None:
        """Lets a role connect as a user of the database that has been granted `rds_iam`."""


class Database(Construct):
    """PostgreSQL 18 on RDS: encrypted, in subnets without a route out, TLS required.

    RDS itself makes, stores and rotates the master password; `secret` is where it keeps it (JSON
    with `username` and `password`). Nothing may connect until a security group rule says so.

    :param database_name: name of the database RDS creates: a letter, then letters, digits, _.
    :param vpc, vpc_subnets: needed for a new instance.
    :param identifier: the instance's name. Default: made of the construct's path.
    :param instance_class: without the `db.` prefix. Default: the smallest Graviton class.
    :param allocated_gib: storage in GiB, 20 to 65536; it grows to twice as much by itself.
    :param multi_az: a standby in another zone. Default: none; a zone's outage stops it.
    :param backup_days: 0 to 35 days of point-in-time recovery; 0 makes no backups.
    :param deletion_protection: default: RDS refuses to delete the instance.
    :param force_ssl: default: connections without TLS are refused (`rds.force_ssl`).
    :param iam_authentication: default: users that were granted `rds_iam` log in with a token of
        IAM; see `allow_iam`. Others keep their passwords.
    :param monitoring_seconds: how often the operating system is measured (enhanced monitoring):
        0 (never), 1, 5, 10, 15, 30 or 60. The lines are CloudWatch Logs' to charge for.
    :param insights: default: Database Insights in its standard mode, seven days, free of charge.
    :param log_retention: of the logs `postgresql` and `upgrade`, which RDS exports.
    :param encryption_key: of storage, secret, insights and logs. Default: AWS's own keys.
    :param existing_instance: used instead, with its one security group; nothing is created, and
        what is said above of encryption, backups, logs and TLS is its owner's to see to.
    :param existing_secret: JSON with `username` and `password` for the existing instance.
    :param removal_policy: default: a last snapshot is taken before the instance goes.

    Example::

        network = llm.Network(stack, "Network")
        database = llm.Database(
            stack,
            "Database",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            database_name="handbook",
        )
        cdk.CfnOutput(stack, "Host", value=database.host)
    """

    instance: rds.IDatabaseInstance
    log_groups: Sequence[logs.LogGroup] = ()
    security_group: ec2.ISecurityGroup

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        database_name: str,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        identifier: str | None = None,
        instance_class: str = "t4g.micro",
        allocated_gib: int = 20,
        multi_az: bool = False,
        backup_days: int = 7,
        deletion_protection: bool = True,
        force_ssl: bool = True,
        iam_authentication: bool = True,
        monitoring_seconds: int = 60,
        insights: bool = True,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        encryption_key: kms.IKey | None = None,
        existing_instance: rds.IDatabaseInstance | None = None,
        existing_secret: secretsmanager.ISecret | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.SNAPSHOT,
    ) -> None:
        super().__init__(scope, id)
        self.database_name, self.allocated_gib = database_name, allocated_gib
        self.encryption_key, self._removal = encryption_key, removal_policy
        self._secret = existing_secret
        self._name = name = _postgres.identifier(self, identifier)
        check(
            self,
            [
                *_postgres.rules(name, database_name, backup_days, monitoring_seconds),
                *_postgres.removal_rules(deletion_protection, removal_policy),
                *_postgres.adoption_rules(existing_instance, existing_secret, vpc, vpc_subnets),
                (
                    outside(allocated_gib, *STORAGE_GIB),
                    f"allocated_gib is {allocated_gib}; RDS allows 20 to 65536.",
                ),
            ],
        )
        if existing_instance:
            self.instance = existing_instance
            self.security_group = existing_instance.connections.security_groups[0]
            return
        assert vpc
        self.security_group = _postgres.security_group(self, vpc)
        self.instance = instance = self._make(
            **_postgres.access(iam_authentication, force_ssl),
            **self._watched(monitoring_seconds, insights, log_retention),
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            instance_type=ec2.InstanceType(instance_class),
            multi_az=multi_az,
            backup_retention=cdk.Duration.days(backup_days),
            deletion_protection=deletion_protection,
        )
        _acknowledge(instance, multi_az, deletion_protection, backup_days > 0)

    def _make(self, **asked: Any) -> rds.DatabaseInstance:
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            **asked,
            **_postgres.kept(self.encryption_key, EXPORTED, self._removal),
            engine=ENGINE,
            instance_identifier=self._name,
            security_groups=[self.security_group],
            publicly_accessible=False,
            database_name=self.database_name,
            storage_type=rds.StorageType.GP3,
            allocated_storage=self.allocated_gib,
            max_allocated_storage=2 * self.allocated_gib,
            auto_minor_version_upgrade=True,
        )
        _postgres.after(instance, self.log_groups, asked.get("monitoring_role"))
        return instance

    def _watched(
        self, monitoring_seconds: int, insights: bool, retention: logs.RetentionDays
    ) -> dict[str, Any]:
        self.log_groups = _postgres.log_groups(
            self,
            f"instance/{self._name}",
            exported=EXPORTED,
            retention=retention,
            encryption_key=self.encryption_key,
            removal_policy=self._removal,
        )
        watched: dict[str, Any] = {"enable_performance_insights": insights}
        if insights:
            watched |= {
                "database_insights_mode": rds.DatabaseInsightsMode.STANDARD,
                "performance_insight_encryption_key": self.encryption_key,
            }
        return watched | _postgres.monitoring(self, monitoring_seconds)

    @property
    def secret(self) -> secretsmanager.ISecret:
        """The secret RDS manages: JSON keys `username` and `password`."""
        return _postgres.secret_of(self, self.instance, self._secret)

    @property
    def host(self) -> str:
        """The address clients connect to."""
        return self.instance.db_instance_endpoint_address

    @property
    def port(self) -> str:
        """The port clients connect to."""
        return self.instance.db_instance_endpoint_port

    @property
    def metric_dimensions(self) -> Mapping[str, str]:
        """How CloudWatch's metrics of AWS/RDS name the instance."""
        return {"DBInstanceIdentifier": self.instance.instance_identifier}

    @property
    def resource_arn(self) -> str:
        """What AWS Backup selects."""
        return self.instance.instance_arn

    def allow_iam(self, role: iam.IRole, user: str) -> None:
        """Lets a role connect as a user of the database that has been granted `rds_iam`."""
        resource_id = self.instance.instance_resource_id
        if resource_id is None:
            raise LookupError(f"{self.node.path}: the existing instance's resource id is unknown.")
        _postgres.allow_user(self, role, resource_id, user)


def _acknowledge(
    instance: rds.DatabaseInstance, standby: bool, protected: bool, backed_up: bool
) -> None:
    choices = {
        "RDS3": (
            not standby,
            "RDSMultiAZSupport",
            "No standby was asked for (multi_az): an outage is acceptable.",
        ),
        "RDS10": (
            not protected,
            "RDSInstanceDeletionProtectionEnabled",
            "deletion_protection=False: the data may go with the stack.",
        ),
        "RDS11": (
            True,
            None,
            "The port is no secret; only the tasks' security group reaches it.",
        ),
        "RDS13": (
            not backed_up,
            "RDSInstanceBackupEnabled",
            "backup_days=0: the data can be made again.",
        ),
    }
    _postgres.acknowledge_choices(instance, choices)
