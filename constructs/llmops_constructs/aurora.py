"""The database of a service that is idle most of the time.

Aurora Serverless v2 pauses at 0 ACU when no client has been connected for a while, and then costs
storage only. Whoever connects next waits about 15 seconds, 30 after a day's pause ("Scaling to zero
ACUs with automatic pause and resume"). A connection that a client keeps open keeps it awake: a
service in front of it must hold none while it is idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from llmops_constructs import _postgres
from llmops_constructs._findings import acknowledge_rule
from llmops_constructs._validation import Rule, check, outside

ENGINE_VERSION = rds.AuroraPostgresEngineVersion.VER_18_4
"""Of those with 0 ACU (13.15, 14.12, 15.7, 16.3 and newer) the line that RDS runs, too."""
EXPORTED = ("postgresql",)
LARGEST = 256
"""ACU; older versions stop at 128."""
PAUSES = (300, 86400)
"""Seconds of idleness after which Aurora may pause."""


class AuroraDatabase(Construct):
    """Aurora PostgreSQL, Serverless v2: encrypted, isolated, TLS required, paused when idle.

    It is used like `Database`: RDS makes, keeps and rotates the master password in `secret`, and
    nothing may connect until a security group rule says so.

    :param database_name: name of the database in it: a letter, then letters, digits, _.
    :param vpc, vpc_subnets: needed for a new cluster.
    :param identifier: the cluster's name. Default: made of the construct's path.
    :param min_acu: 0 to 256 in halves; each is about 2 GiB of memory. Default: 0, it may pause.
    :param max_acu: 1 to 256 in halves.
    :param pause_seconds: 300 to 86400 idle seconds before a pause; only with `min_acu` 0.
    :param multi_az: a reader in another zone, of the writer's size, that takes over. Default:
        none; Aurora starts a new writer elsewhere, which takes about ten minutes.
    :param backup_days: 1 to 35 days of point-in-time recovery; Aurora always backs up.
    :param deletion_protection: default: RDS refuses to delete the cluster.
    :param force_ssl: default: connections without TLS are refused (`rds.force_ssl`).
    :param iam_authentication: default: users that were granted `rds_iam` log in with a token of
        IAM; see `allow_iam`. Others keep their passwords.
    :param monitoring_seconds: how often the operating system is measured (enhanced monitoring):
        0 (never), 1, 5, 10, 15, 30 or 60.
    :param insights: Database Insights. Default: none; AWS asks for 2 ACU at least with it.
    :param engine_version: one that knows 0 ACU if `min_acu` is 0; the CDK checks it.
    :param log_retention: of the log `postgresql`, which RDS exports.
    :param encryption_key: of storage, secret, insights and logs. Default: AWS's own keys.
    :param existing_cluster: used instead, with its one security group; nothing is created, and
        what is said above of encryption, backups, logs and TLS is its owner's to see to.
    :param existing_secret: JSON with `username` and `password` for the existing cluster.
    :param removal_policy: default: a last snapshot is taken before the cluster goes.

    Example::

        network = llm.Network(stack, "Network")
        database = llm.AuroraDatabase(
            stack,
            "Database",
            vpc=network.vpc,
            vpc_subnets=network.database_subnets,
            database_name="handbook",
        )
        cdk.CfnOutput(stack, "Host", value=database.host)
    """

    cluster: rds.IDatabaseCluster
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
        min_acu: float = 0,
        max_acu: float = 2,
        pause_seconds: int = 300,
        multi_az: bool = False,
        backup_days: int = 7,
        deletion_protection: bool = True,
        force_ssl: bool = True,
        iam_authentication: bool = True,
        monitoring_seconds: int = 60,
        insights: bool = False,
        engine_version: rds.AuroraPostgresEngineVersion = ENGINE_VERSION,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        encryption_key: kms.IKey | None = None,
        existing_cluster: rds.IDatabaseCluster | None = None,
        existing_secret: secretsmanager.ISecret | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.SNAPSHOT,
    ) -> None:
        super().__init__(scope, id)
        self.database_name = database_name
        self.encryption_key = encryption_key
        self._secret, self._removal = existing_secret, removal_policy
        self._name = name = _postgres.identifier(self, identifier)
        check(
            self,
            [
                *_postgres.rules(name, database_name, backup_days, monitoring_seconds),
                *_postgres.removal_rules(deletion_protection, removal_policy),
                *_postgres.adoption_rules(existing_cluster, existing_secret, vpc, vpc_subnets),
                *_own_rules(min_acu, max_acu, pause_seconds, backup_days),
            ],
        )
        if existing_cluster:
            self.cluster = existing_cluster
            self.security_group = existing_cluster.connections.security_groups[0]
            return
        assert vpc
        self.security_group = _postgres.security_group(self, vpc)
        self.cluster = cluster = self._make(
            **_postgres.access(iam_authentication, force_ssl),
            **self._watched(monitoring_seconds, log_retention),
            **_capacity(min_acu, max_acu, pause_seconds),
            **self._instances(multi_az, insights),
            engine=rds.DatabaseClusterEngine.aurora_postgres(version=engine_version),
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            backup=rds.BackupProps(retention=cdk.Duration.days(backup_days)),
            deletion_protection=deletion_protection,
        )
        _acknowledge(cluster, deletion_protection)

    def _make(self, **asked: Any) -> rds.DatabaseCluster:
        cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            **asked,
            **_postgres.kept(self.encryption_key, EXPORTED, self._removal),
            cluster_identifier=self._name,
            security_groups=[self.security_group],
            default_database_name=self.database_name,
        )
        _postgres.after(cluster, self.log_groups, asked.get("monitoring_role"))
        return cluster

    def _watched(self, monitoring_seconds: int, retention: logs.RetentionDays) -> dict[str, Any]:
        self.log_groups = _postgres.log_groups(
            self,
            f"cluster/{self._name}",
            exported=EXPORTED,
            retention=retention,
            encryption_key=self.encryption_key,
            removal_policy=self._removal,
        )
        return _postgres.monitoring(self, monitoring_seconds)

    def _instances(self, multi_az: bool, insights: bool) -> dict[str, Any]:
        shared: dict[str, Any] = {
            "publicly_accessible": False,
            "auto_minor_version_upgrade": True,
            "enable_performance_insights": insights,
            "performance_insight_encryption_key": self.encryption_key if insights else None,
        }
        reader = rds.ClusterInstance.serverless_v2("Reader", scale_with_writer=True, **shared)
        return {
            "writer": rds.ClusterInstance.serverless_v2("Writer", **shared),
            "readers": [reader] if multi_az else [],
        }

    @property
    def secret(self) -> secretsmanager.ISecret:
        """The secret RDS manages: JSON keys `username` and `password`."""
        return _postgres.secret_of(self, self.cluster, self._secret)

    @property
    def host(self) -> str:
        """The writer's address."""
        return self.cluster.cluster_endpoint.hostname

    @property
    def port(self) -> str:
        """The port clients connect to."""
        return cdk.Tokenization.stringify_number(self.cluster.cluster_endpoint.port)

    @property
    def metric_dimensions(self) -> Mapping[str, str]:
        """How CloudWatch's metrics of AWS/RDS name the cluster."""
        return {"DBClusterIdentifier": self.cluster.cluster_identifier}

    @property
    def resource_arn(self) -> str:
        """What AWS Backup selects."""
        return self.cluster.cluster_arn

    def allow_iam(self, role: iam.IRole, user: str) -> None:
        """Lets a role connect as a user of the database that has been granted `rds_iam`."""
        resource_id = self.cluster.cluster_resource_identifier
        _postgres.allow_user(self, role, resource_id, user)


def _capacity(min_acu: float, max_acu: float, pause_seconds: int) -> dict[str, Any]:
    pause = {"serverless_v2_auto_pause_duration": cdk.Duration.seconds(pause_seconds)}
    return {
        "serverless_v2_min_capacity": min_acu,
        "serverless_v2_max_capacity": max_acu,
        **({} if min_acu else pause),
    }


def _own_rules(min_acu: float, max_acu: float, pause_seconds: int, backup_days: int) -> list[Rule]:
    return [
        (backup_days == 0, "backup_days is 0; Aurora keeps one day at least."),
        (outside(min_acu, 0, LARGEST), f"min_acu is {min_acu}; Aurora allows 0 to {LARGEST}."),
        (outside(max_acu, 1, LARGEST), f"max_acu is {max_acu}; Aurora allows 1 to {LARGEST}."),
        (min_acu > max_acu, f"min_acu {min_acu} is above max_acu {max_acu}."),
        (
            any(each * 2 % 1 for each in (min_acu, max_acu)),
            f"min_acu {min_acu} and max_acu {max_acu} must be halves, such as 0.5 or 2.",
        ),
        (
            outside(pause_seconds, *PAUSES),
            f"pause_seconds is {pause_seconds}; Aurora allows {PAUSES[0]} to {PAUSES[1]}.",
        ),
    ]


def _acknowledge(cluster: rds.DatabaseCluster, protected: bool) -> None:
    reason = "deletion_protection=False: the data may go with the stack."
    choices = {"RDS10": (not protected, "RDSInstanceDeletionProtectionEnabled", reason)}
    _postgres.acknowledge_choices(cluster, choices)
    acknowledge_rule(
        cluster,
        "RDSInBackupPlan",
        "AWS Backup selects Aurora by cluster, never by instance; the rule asks instances.",
    )
